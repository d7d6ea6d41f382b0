#include "gateway/request/course.h"

#include "gateway/policy/refusal.h"
#include "gateway/request/notes.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>
#include <vector>

namespace spillway {
namespace {

constexpr std::ptrdiff_t kSilentServersMost = 2;

// In the background the engine may never come to it: half of the time is left for the others, or
// more where its patience ends.
Deadline patience_with(const policy::Candidate& candidate, TimePoint now, Deadline deadline) {
  if (candidate.lane == Lane::foreground || now >= deadline) return deadline;
  return now + from_seconds(std::min(candidate.patience, seconds_between(now, deadline) / 2));
}

Error another_answer() {
  return {Errc::backend_unavailable, "its answer is not the one that had begun", "", std::nullopt};
}

// Tokens that a target may be over the limit beside twice of it, since they are not told apart.
constexpr int kOverrun = 8;
constexpr std::size_t kWholeAnswerMax = 32 << 20;  // Of one that is not streamed.

// The same request gets the same words.
bool leaves_no_choice(const Sampling& sampling) {
  return sampling.temperature == 0.0 || sampling.seed.has_value();
}

// Somebody who may have the words for it takes nothing for now.
bool somebody_rests(const policy::Plan& plan) {
  return std::any_of(plan.considered.begin(), plan.considered.end(),
                     [](const policy::Alternative& one) { return !policy::is_final(one.verdict); });
}

std::shared_ptr<const ChatRequest> at_rate(const policy::Candidate& candidate,
                                           std::shared_ptr<const ChatRequest> request) {
  if (!candidate.at_batch_rate) return request;
  auto cheaper = std::make_shared<ChatRequest>(*request);
  cheaper->at_batch_rate = true;
  return cheaper;
}

}  // namespace

Async<Opened> Course::first() {
  const Delivered nothing;
  co_return co_await next(nothing);
}

void Course::broke(Opened& opened, const Error& cause) {
  const bool is_left_alone = opened.visit && opened.visit->failed(cause);
  stay_with_the_others(opened);
  opened.visit.reset();
  begun_by_ = opened.candidate.architecture;
  receipt_.parts.back().broken = true;
  spillway::settle(receipt_.parts.back());
  receipt_.attempts.back().failure = cause.code;
  receipt_.attempts.back().cause = cause.message;
  receipt_.attempts.back().paused = is_left_alone;
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
    if (part.lost) continue;
    tokens += part.broken ? delivered_tokens(part)
                          : std::max(0, tokens_passed(part) - part.repeated_tokens);
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
  if (!receipt_.parts.empty() && !tab_.may_go_on(receipt_.parts.back()))
    return receipt_.parts.back().cut = true;
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
  const bool is_one = request_->choices == 1 && !has(request_->needs, Need::echo);
  if (!delivered.plain || !chat_can_say_it || !is_one) return Way::none;
  if (candidate.continues) return Way::go_on;
  return leaves_no_choice(request_->sampling) ? Way::say_again : Way::none;
}

// Those who serve the same model from the next machine are asked before other targets.
void Course::stay_with_the_others(const Opened& opened) {
  const policy::Candidate& candidate = opened.candidate;
  const std::size_t servers = servers_of(candidate, edition_);
  if (!opened.visit || servers < 2) return;
  failed_.add(candidate.target, opened.visit->server());
  const bool is_before = at_ > 0 && plan_.candidates[at_ - 1].target == candidate.target;
  if (is_before && !failed_.all(candidate.target, servers)) --at_;
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
  Search search;
  while (at_ < plan_.candidates.size()) {
    if (at_ == beside_) ++at_;
    if (at_ == plan_.candidates.size()) break;
    const policy::Candidate& candidate = plan_.candidates[at_++];
    if (!candidate.local && search.retries_used_up()) continue;
    const Way way = way_of(candidate, delivered);
    if (way == Way::none || search.is_beyond(candidate.target) || owes(candidate)) continue;
    if (candidate.not_for_full && search.only_full()) continue;
    auto opened = co_await at_any_server(candidate, way, delivered, search);
    if (opened) co_return std::move(*opened);
    if (search.is_over() || SteadyClock::now() >= deadline_) co_return opened.error();
  }
  const bool others_rest = somebody_rests(plan_);
  co_return search.verdict(others_rest);
}

// A server that fails is gone round before the next target is asked; but two that had the request
// and said nothing are enough.
Async<Opened> Course::at_any_server(const policy::Candidate& candidate, Way way,
                                    const Delivered& delivered, Search& search) {
  const std::size_t servers = servers_of(candidate, edition_);
  while (true) {
    Approach approach;
    approach.candidate = candidate;
    approach.prompt_tokens = tab_.prompt_tokens();
    if (servers > 1) approach.among = failed_.others(candidate.target, servers);
    auto opened = co_await attempt(approach, way, delivered, search);
    if (opened || search.is_over() || SteadyClock::now() >= deadline_) co_return opened;
    const Errc code = opened.error().code;
    const bool another_may =
        approach.server && is_the_targets_fault(code) && code != Errc::account_refused;
    if (!another_may) co_return opened;
    failed_.add(candidate.target, *approach.server);
    if (silent_servers(candidate) >= kSilentServersMost) co_return opened;
    if (failed_.all(candidate.target, servers)) co_return opened;
  }
}

Async<Opened> Course::attempt(Approach& approach, Way way, const Delivered& delivered,
                              Search& search) {
  const int tokens = tokens_out();
  const Begun begun{.tokens = tokens,
                    .bytes_read = way == Way::go_on ? delivered.text.size() : 0,
                    .again = way == Way::say_again ? tokens : 0};
  auto covered = tab_.cover(approach.candidate, begun, receipt_);
  if (!covered) {
    search.unpaid(covered.error());
    co_return covered.error();
  }
  make_ready(approach, way, delivered);
  auto opened = co_await ask(approach, way, search);
  if (opened) {
    note(*opened, *approach.request, receipt_);
    if (opened->told) bill(*opened->told, receipt_.parts.back());
    const auto fits = co_await rejoin(*opened, way, delivered);
    if (!fits) opened = fits.error();
  } else if (approach.at_work) {
    owe(approach, begun);
  }
  if (approach.retries_used_up) {
    receipt_.retries_used_up = true;
    search.use_up_retries();
    co_return opened;
  }
  std::optional<Error> failure;
  if (!opened) failure = opened.error();
  if (failure) search.failed(approach.candidate, approach.understood, *failure);
  if (!failure && !receipt_.dispatched) receipt_.dispatched = approach.sent;
  if (approach.was_made()) note(approach, failure, receipt_);
  co_return opened;
}

// Afterwards `approach` is the one that came to something: perhaps another's.
Async<Opened> Course::ask(Approach& approach, Way way, Search& search) {
  const auto late = way == Way::afresh ? hedge_.late(approach) : std::nullopt;
  if (!late) co_return co_await dispatcher_.open(approach, edition_);
  Race race(dispatcher_, edition_, approach);
  const std::function<std::optional<Approach>()> make_second = [this, &race] {
    return beside(race.first().approach);
  };
  co_await race.run(*late, make_second);
  co_return decided(race, approach, search);
}

std::optional<Approach> Course::beside(const Approach& first) {
  beside_ = hedge_.second(first, at_);
  if (!beside_) return std::nullopt;
  const Delivered nothing;
  Approach second;
  second.candidate = plan_.candidates[*beside_];
  if (second.candidate.target == first.candidate.target && first.server)
    second.among = first.among & ~policy::only(*first.server);
  make_ready(second, Way::afresh, nothing);
  second.occasion = policy::Occasion::beside;
  return second;
}

Result<Opened> Course::decided(Race& race, Approach& approach, Search& search) {
  Race::Runner& first = race.first();
  std::optional<Race::Runner>& second = race.second();
  if (!second) {
    approach = std::move(first.approach);
    return std::move(*first.outcome);
  }
  const bool second_won = second->won() && !first.won();
  Race::Runner& winner = second_won ? *second : first;
  Race::Runner& left = second_won ? first : *second;
  receipt_.hedged = second_won ? Hedged::won : first.won() ? Hedged::lost : Hedged::failed;
  book_left(left, winner, search);
  approach = std::move(winner.approach);
  // What it may cost is held already: whose limits count from now on.
  if (winner.won()) (void)tab_.cover(approach.candidate, {}, receipt_);
  return std::move(*winner.outcome);
}

// Who was left bills what it has read, and its first word if that had come.
void Course::book_left(Race::Runner& left, const Race::Runner& winner, Search& search) {
  const std::size_t parts = receipt_.parts.size();
  std::optional<Error> failure;
  if (left.won()) {
    Part& part = add_part(left.approach.candidate, *left.approach.request, receipt_);
    part.broken = part.lost = true;
    Opened& opened = **left.outcome;
    if (opened.told) bill(*opened.told, part);
    count(opened.first, part);
  } else {
    failure = left.outcome->error();
    if (left.approach.at_work) owe(left.approach, {});
    if (!winner.won()) search.failed(left.approach.candidate, left.approach.understood, *failure);
  }
  const bool was_quick = left.won() || failure->code == Errc::cancelled;
  if (winner.won() && was_quick)
    failure = Error{Errc::cancelled, "another was quicker", "", std::nullopt};
  if (left.approach.was_made()) {
    note(left.approach, failure, receipt_);
    receipt_.attempts.back().beside = winner.won() && was_quick;
  }
  // Where nobody answered, the second was asked for nothing.
  if (receipt_.parts.size() > parts) receipt_.parts.back().beside = was_quick || !winner.won();
}

void Course::make_ready(Approach& approach, Way way, const Delivered& delivered) const {
  const bool is_last = at_ == plan_.candidates.size();
  approach.is_last = is_alone(approach);
  const TimePoint now = SteadyClock::now();
  approach.patience = is_last ? deadline_ : patience_with(approach.candidate, now, deadline_);
  approach.request = at_rate(approach.candidate, tab_.affordable(asked(way, delivered)));
  approach.tenant = receipt_.tenant;
  approach.prompt = &prompt_;
  approach.occasion = receipt_.asked_provider ? policy::Occasion::again : policy::Occasion::first;
  approach.instead = instead_;
  if (instead_) approach.among = policy::kAllServers;
}

// Should it be silent, nobody is left to be asked: it would owe an answer to what it has.
bool Course::is_alone(const Approach& approach) const {
  const policy::Candidate& asked = approach.candidate;
  const policy::ServerSet servers = approach.among & policy::first(servers_of(asked, edition_));
  const auto next = plan_.candidates.begin() + static_cast<std::ptrdiff_t>(at_);
  return std::has_single_bit(servers) &&
         std::all_of(next, plan_.candidates.end(), [&](const policy::Candidate& other) {
           return other.target == asked.target || owes(other);
         });
}

Async<void> Course::rejoin(Opened& opened, Way way, const Delivered& delivered) {
  if (way == Way::afresh) co_return Result<void>();
  Part& part = receipt_.parts.back();
  const int tokens = tokens_out();
  Result<bool> fits = true;
  if (way == Way::say_again) {
    part.repeated_tokens = tokens;
    fits = co_await catch_up(opened, delivered, deadline_, part);
  } else {
    if (!part.usage_told) part.usage.prompt_tokens += tokens;
    part.begun_bytes = delivered.text.size();
    fits = co_await drop_repetition(opened, delivered, deadline_, part);
  }
  if (fits && *fits) co_return Result<void>();
  part.lost = true;
  if (fits) co_return another_answer();  // Not its fault.
  if (opened.visit) opened.visit->failed(fits.error());
  co_return fits.error();
}

// It had the request before, and bills that already: it is not paid twice for keeping silent.
bool Course::owes(const policy::Candidate& candidate) const {
  return silent_servers(candidate) > 0;
}

std::ptrdiff_t Course::silent_servers(const policy::Candidate& candidate) const {
  return std::count_if(receipt_.parts.begin(), receipt_.parts.end(), [&](const Part& part) {
    return part.unanswered && part.target == candidate.target;
  });
}

// Who was left, or broke off, before its first word bills what it has read, what had begun of the
// answer as well.
void Course::owe(const Approach& approach, const Begun& begun) {
  Part& part = add_part(approach.candidate, *approach.request, receipt_);
  part.broken = part.lost = part.unanswered = true;
  part.bytes_per_token = approach.bytes_per_token;
  part.begun_bytes = begun.bytes_read;
  part.engine_time = approach.engine_time;
  part.estimated = part.local;  // How much of the prompt it read is not known.
  if (part.local) return;
  if (approach.told) return bill(*approach.told, part);
  tab_.suppose(approach.bytes_written, part);
  part.usage.prompt_tokens += begun.bytes_read > 0 ? begun.tokens : 0;
}

}  // namespace spillway
