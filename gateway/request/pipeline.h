// THE REQUEST: every stage in order, whatever protocol it came in, and the accounting that runs
// whatever happened.
//
// One Pipeline for all workers; a request's stages run as its coroutine. All it holds are
// references to doors that gateway.cpp owns and that outlive it.
#pragma once

#include "gateway/account/account.h"
#include "gateway/account/limiter.h"
#include "gateway/fleet/edition.h"
#include "gateway/fleet/fleet.h"
#include "gateway/fleet/local_target.h"
#include "gateway/fleet/waiting.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/policy/admission.h"
#include "gateway/policy/handover.h"
#include "gateway/reload/rehearsal.h"
#include "gateway/reload/shadow.h"
#include "gateway/request/dispatch.h"
#include "gateway/request/errand.h"
#include "gateway/request/handover.h"
#include "gateway/request/receipt.h"
#include "gateway/wire/attachments.h"
#include "gateway/wire/protocol.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace spillway {

class Course;

class Pipeline {
 public:
  struct Doors {
    const CurrentEdition& editions;
    policy::Admission& admission;
    Fleet& fleet;
    WaitingRoom& waiting;
    LocalTarget* local;  // Null without a local target.
    Rehearsal& rehearsal;
    Shadow& shadow;
    wire::FileShelf& files;
    wire::ReadingRoom& reading;
    account::Limiter& limiter;
    account::Account* account;  // Null where no ledger is kept.
    std::function<void(const Receipt&)>
        tell;  // Metrics, log, decisions: once a request, on its worker.
  };

  explicit Pipeline(Doors doors)
      : doors_(std::move(doors)), dispatcher_(doors_.local, doors_.fleet) {}

  const Doors& doors() const { return doors_; }

  // One request of a client, who says in its head who it is.
  boost::asio::awaitable<void> serve(const wire::Protocol& protocol, http::Request raw,
                                     http::ResponseWriter& out);

  // The same for work that the gateway does on somebody's behalf (a batch's line, an answer in the
  // background): "anonymous" where no keys are configured.
  boost::asio::awaitable<void> serve_as(OnBehalf whose, const wire::Protocol& protocol,
                                        http::Request raw, http::ResponseWriter& out);

 private:
  struct Exchange;

  boost::asio::awaitable<void> serve(Exchange& exchange, const Result<policy::Caller>& caller);
  Async<void> answer_or_excuse(Exchange& exchange, const Result<policy::Caller>& caller);
  Async<void> answer(Exchange& exchange, const Result<policy::Caller>& caller);
  Result<void> check(const Exchange& exchange, const policy::Plan& plan, int prompt_tokens) const;
  void account(Exchange& exchange);

  // pipeline_handover.cpp
  Async<WrittenLine> write_or_excuse(Exchange& exchange, const Result<policy::Caller>& caller,
                                     const Handing& handing);
  Async<WrittenLine> write_down(Exchange& exchange, const Result<policy::Caller>& caller,
                                const Handing& handing);
  Result<WrittenLine> written(Exchange& exchange, const policy::HandoverOffer& offer,
                              const policy::Plan& plan, const ChatRequest& asked,
                              const Handing& handing, int prompt_tokens) const;
  Async<void> give_back(Exchange& exchange, const Result<policy::Caller>& caller);

  // pipeline_turns.cpp
  Result<void> know_key_again(Exchange& exchange, policy::RequestFacts& facts) const;
  Result<policy::Plan> decide(Exchange& exchange, policy::RequestFacts& facts,
                              policy::Turn turn) const;
  Async<policy::Plan> wait_and_decide(Exchange& exchange, policy::RequestFacts& facts,
                                      policy::Wait& wait) const;
  Async<Opened> first_answer(Exchange& exchange, policy::RequestFacts& facts, policy::Plan& plan,
                             std::optional<policy::Wait> wait, std::optional<Course>& course);

  const Doors doors_;
  Dispatcher dispatcher_;
};

}  // namespace spillway
