#include "gateway/dispatch.h"

#include <algorithm>
#include <string>
#include <utility>

namespace spillway {
namespace {

bool is_empty(const Delta& delta) {
  return delta.text.empty() && delta.reasoning.empty() && delta.extra.empty() && !delta.finish;
}

// A limit of this one target: too short a context, a chat template that refuses the conversation.
bool is_its_own_limit(const policy::Candidate& candidate, Errc code) {
  return code == Errc::context_too_long || (candidate.local && code == Errc::invalid_request);
}

// Trying elsewhere cannot help: the request itself is at fault, or nobody waits any more.
bool ends_the_search(const policy::Candidate& candidate, Errc code) {
  if (is_its_own_limit(candidate, code)) return false;
  return code == Errc::invalid_request || code == Errc::cancelled || code == Errc::slow_client;
}

// In the background the engine may never come to it: half of the time is left for the others.
Deadline patience_with(const policy::Candidate& candidate, TimePoint now, Deadline deadline) {
  if (candidate.lane == Lane::foreground || now >= deadline) return deadline;
  return now + (deadline - now) / 2;
}

bool is_full(Errc code) { return code == Errc::rate_limited || code == Errc::overloaded; }

// What the client is told once every candidate has failed.
Error verdict(const std::vector<Error>& failures) {
  Error verdict{Errc::backend_unavailable, "none of the targets for this request could answer", "",
                std::nullopt};
  if (failures.empty()) return verdict;
  const auto fault = [](const Error& e) {
    return e.code == Errc::context_too_long || e.code == Errc::invalid_request;
  };
  if (std::all_of(failures.begin(), failures.end(), fault)) return failures.front();
  if (std::all_of(failures.begin(), failures.end(),
                  [](const Error& e) { return is_full(e.code); })) {
    verdict.code = Errc::overloaded;
    verdict.message = "all targets for this request are full";
  }
  for (const Error& failure : failures) {
    if (!failure.retry_after) continue;
    verdict.retry_after =
        std::min(verdict.retry_after.value_or(*failure.retry_after), *failure.retry_after);
  }
  return verdict;
}

}  // namespace

Async<Opened> Dispatcher::open_first(const policy::Plan& plan, const Edition& edition,
                                     std::shared_ptr<const ChatRequest> request, Deadline deadline,
                                     Receipt& receipt) {
  std::vector<Error> failures;
  for (const policy::Candidate& candidate : plan.candidates) {
    const TimePoint sent = SteadyClock::now();
    const bool is_last = &candidate + 1 == plan.candidates.end();
    const Deadline patience = is_last ? deadline : patience_with(candidate, sent, deadline);
    auto opened = co_await open(candidate, edition, request, patience);
    Attempt attempt{std::string(candidate.target), std::nullopt, "",
                    seconds_between(sent, SteadyClock::now())};
    if (opened) {
      receipt.attempts.push_back(std::move(attempt));
      receipt.dispatched = sent;
      co_return std::move(*opened);
    }
    attempt.failure = opened.error().code;
    attempt.cause = opened.error().message;
    receipt.attempts.push_back(std::move(attempt));
    const bool is_over = SteadyClock::now() >= deadline;
    if (is_over || ends_the_search(candidate, opened.error().code)) co_return opened.error();
    failures.push_back(opened.error());
  }
  co_return verdict(failures);
}

Async<Opened> Dispatcher::open(const policy::Candidate& candidate, const Edition& edition,
                               std::shared_ptr<const ChatRequest> request, Deadline deadline) {
  Opened opened;
  opened.candidate = candidate;
  if (!candidate.local) {
    opened.visit = fleet_.visit(candidate.target);
    if (!opened.visit) co_return Error{Errc::overloaded, "not to be asked now", "", std::nullopt};
  }

  Terms terms{std::string(candidate.model), deadline, candidate.lane};
  auto stream = co_await backend_of(candidate, edition)->open(request, std::move(terms));
  if (!stream) {
    if (opened.visit) opened.visit->failed(stream.error());
    co_return stream.error();
  }
  opened.stream = std::move(*stream);

  while (true) {
    auto piece = co_await opened.stream->next(deadline);
    if (piece && *piece && is_empty(**piece))
      continue;  // A provider's role chunk is no answer yet.
    if (piece && *piece) {
      opened.first = std::move(**piece);
      if (opened.visit) opened.visit->answered(request->stream);
      co_return std::move(opened);
    }
    Error error =
        piece ? Error{Errc::backend_unavailable, "ended without an answer", "", std::nullopt}
              : piece.error();
    if (opened.visit) opened.visit->failed(error);
    co_return error;
  }
}

Backend* Dispatcher::backend_of(const policy::Candidate& candidate, const Edition& edition) const {
  return candidate.local ? &local_->backend()
                         : edition.providers.find(candidate.target)->second.get();
}

}  // namespace spillway
