// The way of one request through its plan's candidates: the first that answers, and, where a stream
// breaks in the middle, one that goes on with it.
//
// What the client has read is never taken back and never said twice. A candidate that can go on
// with a begun answer is asked to; one that cannot says it all again, if the request leaves it no
// choice of words (temperature 0, or a seed), and what the client has is held back, as long as it
// is the same to the byte; any other, and what is said to be of another architecture, is passed
// over. On the request's coroutine. Each attempt and
// each part of the answer is written into the receipt.
#pragma once

#include "gateway/fleet/edition.h"
#include "gateway/policy/plan.h"
#include "gateway/request/dispatch.h"
#include "gateway/request/hedge.h"
#include "gateway/request/race.h"
#include "gateway/request/receipt.h"
#include "gateway/request/rejoin.h"
#include "gateway/request/search.h"
#include "gateway/request/tab.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace spillway {

class Course {
 public:
  // All that is referred to must outlive it.
  Course(Dispatcher& dispatcher, const policy::Plan& plan, const Edition& edition,
         std::shared_ptr<const ChatRequest> request, const policy::PromptMarks& prompt,
         Deadline deadline, Tab& tab, Receipt& receipt)
      : dispatcher_(dispatcher),
        plan_(plan),
        edition_(edition),
        request_(std::move(request)),
        prompt_(prompt),
        deadline_(deadline),
        tab_(tab),
        receipt_(receipt),
        hedge_(plan, edition, dispatcher.fleet(), tab, receipt) {}

  // The candidates' answer is there already: from now on `backend`, which outlives this, gives it.
  void answered_by(Backend& backend) { instead_ = &backend; }

  // The first candidate that answers. Fails with the client's own fault at once (invalid_request,
  // context_too_long), with cancelled or deadline_exceeded when there is no use in going on, else
  // with what the candidates said: rate_limited or overloaded if all are full for now, what the tab
  // says if the payer cannot bear any, backend_unavailable otherwise.
  Async<Opened> first();

  // The stream broke: its target and its part are told so.
  void broke(Opened& opened, const Error& cause);

  // After that, with `delivered` out: who goes on. Fails with the first cause of all, whatever was
  // said since; with cancelled or slow_client if nobody waits any more.
  Async<Opened> after(const Delivered& delivered);

  // All tokens that the request allows are out: only the word that the answer has ended is missing.
  bool at_the_limit() const;

  // Far more are out: this target does not keep the limit. Or all that the payer's hard budget
  // bears.
  bool past_the_limit();

  // No more comes: what the answer cost is booked. Before the client has the last of it.
  void settle() { tab_.settle(receipt_); }

  const ChatRequest& request() const { return *request_; }
  Deadline deadline() const { return deadline_; }
  Receipt& receipt() { return receipt_; }

 private:
  enum class Way { afresh, go_on, say_again, none };

  Way way_of(const policy::Candidate& candidate, const Delivered& delivered) const;
  std::shared_ptr<const ChatRequest> asked(Way way, const Delivered& delivered) const;
  Async<Opened> next(const Delivered& delivered);
  Async<Opened> at_any_server(const policy::Candidate& candidate, Way way,
                              const Delivered& delivered, Search& search);
  Async<Opened> attempt(Approach& approach, Way way, const Delivered& delivered, Search& search);
  void make_ready(Approach& approach, Way way, const Delivered& delivered) const;
  bool is_alone(const Approach& approach) const;
  Async<Opened> ask(Approach& approach, Way way, Search& search);
  std::optional<Approach> beside(const Approach& first);
  Result<Opened> decided(Race& race, Approach& approach, Search& search);
  void book_left(Race::Runner& left, const Race::Runner& other, Search& search);
  void stay_with_the_others(const Opened& opened);
  Async<void> rejoin(Opened& opened, Way way, const Delivered& delivered);
  bool owes(const policy::Candidate& candidate) const;
  std::ptrdiff_t silent_servers(const policy::Candidate& candidate) const;
  void owe(const Approach& approach, const Begun& begun);
  int tokens_out() const;
  std::size_t bytes_out() const;
  std::optional<std::int64_t> limit() const;  // Of all choices together.

  Dispatcher& dispatcher_;
  const policy::Plan& plan_;
  const Edition& edition_;
  const std::shared_ptr<const ChatRequest> request_;
  const policy::PromptMarks& prompt_;
  const Deadline deadline_;
  Tab& tab_;
  Receipt& receipt_;
  Hedge hedge_;
  FailedServers failed_;
  Backend* instead_ = nullptr;
  std::optional<std::size_t> beside_;  // The candidate that was asked beside another.
  std::size_t at_ = 0;                 // The candidate to be tried next.
  std::string_view begun_by_;          // The architecture of what broke off; empty: not said.
  std::optional<Error> first_cause_;   // Why the first stream broke; or that nobody waits.
};

}  // namespace spillway
