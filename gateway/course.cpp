#include "gateway/course.h"

#include "gateway/notes.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace spillway {
namespace {

// A limit of this one target: too short a context, a chat template that refuses the conversation,
// a protocol that has no words for it.
bool is_its_own_limit(const policy::Candidate& candidate, const Error& error) {
  return error.code == Errc::context_too_long || error.code == Errc::unsupported ||
         (candidate.local && error.code == Errc::invalid_request);
}

// It has no such tier: asked for by us, not by the client.
bool lacks_tier(const policy::Candidate& candidate, const Error& error) {
  return candidate.at_batch_rate && error.code == Errc::invalid_request &&
         error.param == "service_tier";
}

bool nobody_waits(Errc code) { return code == Errc::cancelled || code == Errc::slow_client; }

// Trying elsewhere cannot help: the request itself is at fault, or nobody waits any more.
bool ends_the_search(const policy::Candidate& candidate, const Error& error) {
  if (is_its_own_limit(candidate, error) || lacks_tier(candidate, error)) return false;
  return error.code == Errc::invalid_request || nobody_waits(error.code);
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
    return e.code == Errc::context_too_long || e.code == Errc::unsupported ||
           e.code == Errc::invalid_request;
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

bool is_plain(const Delta& delta) {
  return delta.reasoning.empty() && delta.extra.empty() && delta.choice == 0;
}

// Longer answers are not gone on with: the text is kept for as long as its stream lives.
constexpr std::size_t kContinuedBytesMax = 1 << 20;

// Shorter beginnings may well come again in what follows.
constexpr std::size_t kRepetitionBytesMin = 12;

// Tokens that a target may be over the limit beside twice of it, since they are not told apart.
constexpr int kOverrun = 8;
constexpr std::size_t kBytesPerTokenMost = 32;
constexpr std::size_t kWholeAnswerMax = 32 << 20;  // Of one that is not streamed.

// The same request gets the same words.
bool leaves_no_choice(const Sampling& sampling) {
  return sampling.temperature == 0.0 || sampling.seed.has_value();
}

std::shared_ptr<const ChatRequest> at_rate(const policy::Candidate& candidate,
                                           std::shared_ptr<const ChatRequest> request) {
  if (!candidate.at_batch_rate) return request;
  auto cheaper = std::make_shared<ChatRequest>(*request);
  cheaper->at_batch_rate = true;
  return cheaper;
}

}  // namespace

void Delivered::add(const Delta& delta) {
  if (!is_plain(delta)) plain = false;
  if (text.size() + delta.text.size() > kContinuedBytesMax) plain = false;
  if (plain) text += delta.text;
}

Async<Opened> Course::first() {
  const Delivered nothing;
  co_return co_await next(nothing);
}

void Course::broke(Opened& opened, const Error& cause) {
  if (opened.visit) opened.visit->failed(cause);
  opened.visit.reset();
  begun_by_ = opened.candidate.architecture;
  receipt_.parts.back().broken = true;
  receipt_.attempts.back().failure = cause.code;
  receipt_.attempts.back().cause = cause.message;
  if (!first_cause_ || nobody_waits(cause.code)) first_cause_ = cause;
}

Async<Opened> Course::after(const Delivered& delivered) {
  const Errc code = *receipt_.attempts.back().failure;
  if (!is_the_targets_fault(code) || SteadyClock::now() >= deadline_) co_return *first_cause_;
  if (delivered.nothing()) receipt_.parts.back().lost = true;
  auto opened = co_await next(delivered);
  if (opened) co_return std::move(*opened);
  co_return nobody_waits(opened.error().code) ? opened.error() : *first_cause_;
}

int Course::tokens_out() const {
  int tokens = 0;
  for (const Part& part : receipt_.parts) {
    if (!part.lost) tokens += std::max(0, tokens_passed(part) - part.repeated_tokens);
  }
  return tokens;
}

std::optional<std::int64_t> Course::limit() const {
  const auto& most = request_->sampling.tokens_max;
  if (!most) return std::nullopt;
  return std::int64_t{*most} * request_->choices;
}

bool Course::at_the_limit() const {
  const auto most = limit();
  return most && tokens_out() >= *most;
}

std::size_t Course::bytes_out() const {
  std::size_t bytes = 0;
  for (const Part& part : receipt_.parts) bytes += part.lost ? 0 : part.bytes;
  return bytes;
}

bool Course::past_the_limit() {
  if (!receipt_.parts.empty() && !tab_.may_go_on(receipt_.parts.back())) return true;
  const std::size_t bytes = bytes_out();
  if (!request_->stream && bytes > kWholeAnswerMax) return true;
  const auto most = limit();
  const auto out = std::max<std::int64_t>(tokens_out(), bytes / kBytesPerTokenMost);
  return most && out / 2 > *most + kOverrun;
}

Course::Way Course::way_of(const policy::Candidate& candidate, const Delivered& delivered) const {
  if (delivered.nothing()) return Way::afresh;
  const std::string_view other = candidate.architecture;
  if (!other.empty() && !begun_by_.empty() && other != begun_by_) return Way::none;
  const bool chat_can_say_it = !request_->original || request_->original->only.empty();
  if (!delivered.plain || !chat_can_say_it || request_->choices > 1) return Way::none;
  if (candidate.continues) return Way::go_on;
  return leaves_no_choice(request_->sampling) ? Way::say_again : Way::none;
}

// A begun answer is gone on with in chat's words: nobody continues another target's own bytes.
std::shared_ptr<const ChatRequest> Course::asked(Way way, const Delivered& delivered) const {
  if (way == Way::afresh || (way == Way::say_again && !request_->original)) return request_;
  auto request = std::make_shared<ChatRequest>(*request_);
  request->original.reset();
  if (way == Way::say_again) return request;
  request->begun = delivered.text;
  Sampling& sampling = request->sampling;
  const int tokens = tokens_out();
  if (sampling.tokens_max) sampling.tokens_max = std::max(1, *sampling.tokens_max - tokens);
  sampling.tokens_min = std::max(0, sampling.tokens_min - tokens);
  return request;
}

Async<Opened> Course::next(const Delivered& delivered) {
  std::vector<Error> failures;
  std::vector<std::string_view> unable;  // Targets whose own limit it is: asking again is no use.
  std::optional<Error> unpaid;           // Why the payer cannot have one.
  while (at_ < plan_.candidates.size()) {
    const policy::Candidate& candidate = plan_.candidates[at_++];
    const Way way = way_of(candidate, delivered);
    const bool is_unable =
        std::find(unable.begin(), unable.end(), candidate.target) != unable.end();
    if (way == Way::none || is_unable || owes(candidate)) continue;
    const int again = way == Way::say_again ? tokens_out() : 0;
    auto covered = tab_.cover(candidate, tokens_out(), again, receipt_);
    if (!covered) {
      if (!unpaid) unpaid = covered.error();
      continue;
    }
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
    if (is_over || ends_the_search(candidate, opened.error())) co_return opened.error();
    if (is_its_own_limit(candidate, opened.error())) unable.push_back(candidate.target);
    failures.push_back(opened.error());
  }
  co_return failures.empty() && unpaid ? *unpaid : verdict(failures);
}

Async<Opened> Course::attempt(const policy::Candidate& candidate, Way way,
                              const Delivered& delivered) {
  const bool is_last = at_ == plan_.candidates.size();
  const TimePoint now = SteadyClock::now();
  const Deadline patience = is_last ? deadline_ : patience_with(candidate, now, deadline_);
  const auto request = at_rate(candidate, tab_.affordable(asked(way, delivered)));
  const int tokens = tokens_out();
  Unanswered unanswered;
  auto opened = co_await dispatcher_.open(candidate, edition_, request, receipt_.tenant, patience,
                                          unanswered);
  if (!opened) {
    const int begun = way == Way::go_on ? tokens : 0;
    if (unanswered.at_work) owe(candidate, unanswered, begun);
    co_return opened.error();
  }
  note(candidate, receipt_);
  if (opened->told) bill(*opened->told, receipt_.parts.back());
  if (way == Way::afresh) co_return std::move(*opened);

  Part& part = receipt_.parts.back();
  Result<bool> fits = true;
  if (way == Way::say_again) {
    part.repeated_tokens = tokens;
    fits = co_await catch_up(*opened, delivered);
  } else {
    if (!part.usage_told) part.usage.prompt_tokens += tokens;
    fits = co_await drop_repetition(*opened, delivered);
  }
  if (fits && *fits) co_return std::move(*opened);
  part.lost = true;
  if (fits) co_return another_answer();  // Not its fault.
  if (opened->visit) opened->visit->failed(fits.error());
  co_return fits.error();
}

// It had the request before, and bills that already: it is not paid twice for keeping silent.
bool Course::owes(const policy::Candidate& candidate) const {
  return std::any_of(receipt_.parts.begin(), receipt_.parts.end(), [&](const Part& part) {
    return part.unanswered && part.target == candidate.target;
  });
}

// Who was left, or broke off, before its first word bills what it has read, what had begun of the
// answer as well.
void Course::owe(const policy::Candidate& candidate, const Unanswered& unanswered, int begun) {
  Part& part = add_part(candidate, receipt_);
  part.broken = part.lost = part.unanswered = true;
  if (unanswered.told) return bill(*unanswered.told, part);
  tab_.suppose(request_->stream, part);
  part.usage.prompt_tokens += begun;
}

// Passes over what the client has. The first piece is then what comes after it.
Async<bool> Course::catch_up(Opened& opened, const Delivered& delivered) {
  std::size_t said = 0;  // Of what the client has.
  while (true) {
    Delta& piece = opened.first;
    const std::size_t both = std::min(piece.text.size(), delivered.text.size() - said);
    if (!is_plain(piece) || delivered.text.compare(said, both, piece.text, 0, both) != 0)
      co_return false;
    said += both;
    const bool ends = piece.finish.has_value();
    if (said == delivered.text.size() && (both < piece.text.size() || ends)) {
      piece.text.erase(0, both);
      co_return true;
    }
    if (ends) co_return false;
    count(piece, receipt_.parts.back());
    auto next = co_await opened.stream->next(deadline_);
    if (!next) co_return next.error();
    if (!*next) co_return false;
    opened.first = std::move(**next);
  }
}

// Some providers take `continues` for a message like any other and begin again: what is word for
// word the beginning that the client has is not said twice.
Async<bool> Course::drop_repetition(Opened& opened, const Delivered& delivered) {
  Part& part = receipt_.parts.back();
  std::string held;
  while (delivered.text.size() >= kRepetitionBytesMin && is_plain(opened.first)) {
    held += opened.first.text;
    if (!delivered.text.starts_with(held) || opened.first.finish) break;
    count(opened.first, part);
    if (held.size() == delivered.text.size()) {
      part.repeated_tokens = tokens_passed(part);
      opened.first = {};
      co_return true;
    }
    auto next = co_await opened.stream->next(deadline_);
    if (!next) co_return next.error();
    if (!*next) co_return false;
    opened.first = std::move(**next);
  }
  // It was none after all: what was held back is told with this piece, and counted once.
  if (held.empty()) co_return true;
  part.bytes -= held.size() - opened.first.text.size();
  opened.first.text = std::move(held);
  co_return true;
}

}  // namespace spillway
