#include "gateway/course.h"

#include "gateway/notes.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace spillway {
namespace {

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

bool is_the_targets_fault(Errc code) {
  return code == Errc::backend_unavailable || code == Errc::deadline_exceeded || is_full(code);
}

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

Error another_answer() {
  return {Errc::backend_unavailable, "its answer is not the one that had begun", "", std::nullopt};
}

// The same request gets the same words.
bool leaves_no_choice(const Sampling& sampling) {
  return sampling.temperature == 0.0 || sampling.seed.has_value();
}

}  // namespace

void Delivered::add(const Delta& delta) {
  if (!delta.reasoning.empty() || !delta.extra.empty() || delta.choice != 0) plain = false;
  text += delta.text;
  tokens += delta.tokens > 0 || delta.text.empty() ? delta.tokens : 1;
}

Async<Opened> Course::first() {
  const Delivered nothing;
  co_return co_await next(nothing);
}

Async<Opened> Course::after(Opened& broken, const Error& cause, const Delivered& delivered) {
  if (broken.visit) broken.visit->failed(cause);
  broken.visit.reset();
  receipt_.attempts.back().failure = cause.code;
  receipt_.attempts.back().cause = cause.message;
  if (!is_the_targets_fault(cause.code) || SteadyClock::now() >= deadline_) co_return cause;
  if (delivered.nothing()) receipt_.parts.back().lost = true;
  auto opened = co_await next(delivered);
  if (!opened) co_return cause;
  co_return std::move(*opened);
}

bool Course::at_the_limit(const Delivered& delivered) const {
  const auto& most = request_->sampling.tokens_max;
  return delivered.plain && most && delivered.tokens >= *most;
}

Course::Way Course::way_of(const policy::Candidate& candidate, const Delivered& delivered) const {
  if (delivered.nothing()) return Way::afresh;
  if (!delivered.plain) return Way::none;
  if (candidate.continues) return Way::go_on;
  return leaves_no_choice(request_->sampling) ? Way::say_again : Way::none;
}

std::shared_ptr<const ChatRequest> Course::continued(const Delivered& delivered) const {
  auto request = std::make_shared<ChatRequest>(*request_);
  request->begun = delivered.text;
  Sampling& sampling = request->sampling;
  if (sampling.tokens_max)
    sampling.tokens_max = std::max(1, *sampling.tokens_max - delivered.tokens);
  sampling.tokens_min = std::max(0, sampling.tokens_min - delivered.tokens);
  return request;
}

Async<Opened> Course::next(const Delivered& delivered) {
  std::vector<Error> failures;
  while (at_ < plan_.candidates.size()) {
    const policy::Candidate& candidate = plan_.candidates[at_++];
    const Way way = way_of(candidate, delivered);
    if (way == Way::none) continue;
    const TimePoint sent = SteadyClock::now();
    receipt_.attempts.push_back({.target = std::string(candidate.target)});
    auto opened = co_await attempt(candidate, way, delivered);
    Attempt& attempt = receipt_.attempts.back();
    attempt.seconds = seconds_between(sent, SteadyClock::now());
    if (opened) {
      if (!receipt_.dispatched) receipt_.dispatched = sent;
      co_return std::move(*opened);
    }
    attempt.failure = opened.error().code;
    attempt.cause = opened.error().message;
    const bool is_over = SteadyClock::now() >= deadline_;
    if (is_over || ends_the_search(candidate, opened.error().code)) co_return opened.error();
    failures.push_back(opened.error());
  }
  co_return verdict(failures);
}

Async<Opened> Course::attempt(const policy::Candidate& candidate, Way way,
                              const Delivered& delivered) {
  const bool is_last = at_ == plan_.candidates.size();
  const TimePoint now = SteadyClock::now();
  const Deadline patience = is_last ? deadline_ : patience_with(candidate, now, deadline_);
  const auto request = way == Way::go_on ? continued(delivered) : request_;
  auto opened = co_await dispatcher_.open(candidate, edition_, request, patience);
  if (!opened) co_return opened.error();
  note(candidate, receipt_);
  if (way == Way::go_on) receipt_.parts.back().usage.prompt_tokens += delivered.tokens;
  if (way == Way::say_again) {
    auto caught_up = co_await catch_up(*opened, delivered);
    if (!caught_up) co_return caught_up.error();
  }
  co_return std::move(*opened);
}

// Passes over what the client has. The first piece is then what comes after it.
Async<void> Course::catch_up(Opened& opened, const Delivered& delivered) {
  Part& part = receipt_.parts.back();
  part.repeated_tokens = delivered.tokens;
  std::string said;
  while (true) {
    said += opened.first.text;
    const std::size_t both = std::min(said.size(), delivered.text.size());
    if (said.compare(0, both, delivered.text, 0, both) != 0) break;
    if (said.size() > delivered.text.size() || (opened.first.finish && both == said.size())) {
      if (both < delivered.text.size()) break;
      opened.first.text = said.substr(both);
      co_return Result<void>();
    }
    count(opened.first, part);
    auto piece = co_await opened.stream->next(deadline_);
    if (!piece) co_return piece.error();
    if (!*piece) break;
    opened.first = std::move(**piece);
  }
  part.lost = true;
  co_return another_answer();
}

}  // namespace spillway
