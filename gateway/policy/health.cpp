#include "gateway/policy/health.h"

#include <algorithm>
#include <limits>

namespace spillway::policy {
namespace {

constexpr std::chrono::milliseconds kDefaultRetryAfter{1'000};
constexpr std::chrono::milliseconds kBatchTierRetryAfter{10'000};

bool tells_pace(const Visit& visit) { return visit.asking.streamed && !visit.asking.at_batch_rate; }

}  // namespace

Health::Health(const config::ProviderTarget& provider, TimePoint now)
    : name_(provider.name),
      concurrency_max_(provider.concurrency_max),
      is_here_(provider.is_here()),
      breaker_(provider.breaker),
      tracker_(provider.measured, now) {}

ProviderFacts Health::facts(TimePoint now) const {
  ProviderFacts facts;
  facts.name = name_;
  facts.permission = breaker_.permission(now);
  facts.refuses_account = breaker_.refuses_account() && facts.permission == Permission::open;
  facts.open_until = breaker_.open_until();
  if (limited_until_ && now < *limited_until_) facts.limited_until = limited_until_;
  const TimePoint room = room_at(1, now);
  if (room > facts.limited_until.value_or(now)) facts.limited_until = room;
  if (batch_tier_full_until_ && now < *batch_tier_full_until_)
    facts.batch_tier_full_until = batch_tier_full_until_;
  facts.in_flight = in_flight_;
  facts.ttft_p50 = tracker_.ttft_p50(now);
  facts.ttft_p90 = tracker_.ttft_p90(now);
  facts.ttft_p95 = tracker_.ttft_p95(now);
  facts.ttft_p99 = tracker_.ttft_p99(now);
  facts.tokens_per_second = tracker_.tokens_per_second();
  facts.in_time = punctuality_.in_time(now);
  if (is_here_) {
    facts.foreground_tokens = backlog_.tokens(Lane::foreground);
    facts.background_tokens = backlog_.tokens(Lane::background);
    facts.tokens_read_per_second = backlog_.tokens_per_second();
  }
  return facts;
}

TimePoint Health::room_at(int prompt_tokens, TimePoint now) const {
  return std::max(requests_.free_at(1.0, now), tokens_.free_at(prompt_tokens, now));
}

bool Health::admits(TimePoint now, Asking asking) const {
  if (in_flight_ >= concurrency_max_) return false;
  if (room_at(asking.prompt_tokens, now) > now) return false;
  if (limited_until_ && now < *limited_until_) return false;
  const bool tier_is_full = batch_tier_full_until_ && now < *batch_tier_full_until_;
  const Permission permission = breaker_.permission(now);
  if (asking.at_batch_rate && (tier_is_full || permission != Permission::closed)) return false;
  return permission != Permission::open;
}

std::optional<Visit> Health::enter(TimePoint now, Asking asking) {
  if (!admits(now, asking)) return std::nullopt;
  Visit visit;
  visit.asking = asking;
  visit.pass = breaker_.enter(now);
  visit.sent = now;
  visit.requests = requests_.take(1.0);
  visit.tokens = tokens_.take(asking.prompt_tokens);
  ++in_flight_;
  backlog_.begin(asking.lane, asking.prompt_tokens, now);
  return visit;
}

void Health::answered(Visit& visit, TimePoint now) {
  if (visit.first_token) return;
  visit.first_token = now;
  backlog_.done(visit.asking.lane, visit.asking.prompt_tokens, now);
  visit.was_read = true;
  if (tells_pace(visit)) {
    const double took = seconds_between(visit.sent, now);
    tracker_.first_token(took, now);
    pace_.first_token(visit.asking.promise.prompt_tokens, took, now);
    punctuality_.observe(visit.asking.promise, took, now);
  }
  breaker_.succeeded(visit.pass);
  visit.told = true;
}

void Health::told(const Visit& visit, const RateLeft& left) {
  if (left.requests) requests_.told(*left.requests, visit.requests, visit.sent);
  if (left.tokens) tokens_.told(*left.tokens, visit.tokens, visit.sent);
}

void Health::finished(Visit& visit, int completion_tokens, TimePoint now) {
  if (!visit.first_token || !tells_pace(visit)) return;
  tracker_.streamed(completion_tokens - 1, seconds_between(*visit.first_token, now));
}

void Health::failed(Visit& visit, const Error& error, TimePoint now) {
  const bool is_full = error.code == Errc::rate_limited || error.code == Errc::overloaded;
  if (is_full && visit.asking.at_batch_rate) {
    batch_tier_full_until_ = now + error.retry_after.value_or(kBatchTierRetryAfter);
    return;
  }
  if (is_here_ && error.code == Errc::overloaded) return;  // Its queue moves by itself.
  const bool says_when = error.retry_after > std::chrono::milliseconds(0);
  if (error.code == Errc::rate_limited || (is_full && says_when)) {
    limited_until_ = now + error.retry_after.value_or(kDefaultRetryAfter);
    return;
  }
  const double waited = seconds_between(visit.sent, now);
  const bool was_silent = !visit.first_token && tells_pace(visit);
  if (error.code == Errc::cancelled && was_silent) tracker_.silent(waited, now);
  const bool overdue = was_silent && waited > overdue_after(visit.asking.promise, now);
  const bool refuses_account = error.code == Errc::account_refused;
  const bool at_fault = refuses_account || is_full || error.code == Errc::backend_unavailable ||
                        (error.code == Errc::deadline_exceeded && overdue);
  if (!at_fault) return;
  // After its first token the probe has been counted already; a stream that then breaks is an
  // ordinary failure.
  Breaker::Pass pass = visit.pass;
  if (visit.told) pass.is_probe = false;
  refuses_account ? breaker_.refused_account(pass, now) : breaker_.failed(pass, now);
  visit.told = true;
}

// A deadline that its client has set is no measure of it.
double Health::overdue_after(const Promise& promise, TimePoint now) const {
  if (promise.client_hurries) return std::numeric_limits<double>::infinity();
  return pace_.overdue_after(promise.prompt_tokens, tracker_.ttft_p99(now));
}

void Health::leave(Visit& visit) {
  --in_flight_;
  if (!visit.was_read) backlog_.dropped(visit.asking.lane, visit.asking.prompt_tokens);
  if (!visit.told) breaker_.withdrawn(visit.pass);
  visit.told = true;
}

}  // namespace spillway::policy
