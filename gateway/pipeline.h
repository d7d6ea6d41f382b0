// THE REQUEST: every stage of POST /v1/chat/completions in order, and the accounting that runs
// whatever happened.
//
// One Pipeline for all workers; `chat` is the handler of one request and runs as its coroutine. All
// it holds are references to doors that gateway.cpp owns and that outlive it.
#pragma once

#include "gateway/dispatch.h"
#include "gateway/edition.h"
#include "gateway/fleet.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/local_target.h"
#include "gateway/policy/admission.h"
#include "gateway/receipt.h"
#include "gateway/waiting.h"

#include <functional>
#include <memory>

namespace spillway {

class Pipeline {
 public:
  struct Doors {
    const CurrentEdition& editions;
    policy::Admission& admission;
    Fleet& fleet;
    WaitingRoom& waiting;
    LocalTarget* local;  // Null without a local target.
    std::function<void(const Receipt&)>
        tell;  // Metrics, log, decisions: once a request, on its worker.
  };

  explicit Pipeline(Doors doors)
      : doors_(std::move(doors)), dispatcher_(doors_.local, doors_.fleet) {}

  boost::asio::awaitable<void> chat(http::Request raw, http::ResponseWriter& out);

 private:
  Async<void> answer(const Edition& edition, http::Request& raw, http::ResponseWriter& out,
                     Receipt& receipt);
  void account(const Edition& edition, Receipt receipt);

  policy::RequestFacts measure(const Edition& edition, const http::Request& raw,
                               const policy::Caller& caller,
                               const std::shared_ptr<const ChatRequest>& request) const;
  Result<policy::Plan> decide(const Edition& edition, const policy::RequestFacts& facts,
                              policy::Turn turn, Receipt& receipt) const;
  Async<policy::Plan> wait_and_decide(const Edition& edition, const policy::RequestFacts& facts,
                                      const policy::Wait& wait, Receipt& receipt) const;

  const Doors doors_;
  Dispatcher dispatcher_;
};

}  // namespace spillway
