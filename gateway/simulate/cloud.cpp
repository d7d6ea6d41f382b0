#include "gateway/simulate/cloud.h"

#include "backends/contract/name_hash.h"

#include <algorithm>
#include <utility>

namespace spillway::simulate {

namespace {

constexpr int kBlockTokens = 512;
constexpr double kKept = 300.0;     // Seconds, of what a provider has read.
constexpr double kRounding = 1e-6;  // The limiter counts nanoseconds: a retry must not be early.

bool overloaded(const CloudRules& rules, double now) {
  return rules.overload && rules.overload->begins <= now && now < rules.overload->ends;
}

bool has_a_price_for_cached(const config::Price& price) {
  return price.cached_input_per_million != price.input_per_million;
}

TimePoint at_time(double seconds) { return TimePoint{} + from_seconds(seconds); }

}  // namespace

simulated::Script script_of(const CloudRules& rules, double now) {
  const bool overload = overloaded(rules, now);
  const double failure_share = overload ? rules.overload->failure_share : rules.failure_share;
  simulated::Fault error;
  error.kind = simulated::FaultKind::error;
  error.share = failure_share / 2.0;
  error.after_seconds = rules.error_after;
  simulated::Fault silence;
  silence.kind = simulated::FaultKind::silence;
  silence.share = failure_share / 2.0;
  silence.after_seconds = rules.timeout;
  simulated::Script script{.faults = {error, silence}};
  if (overload) script.response_mean = rules.overload->response_mean;
  return script;
}

std::uint64_t seed_of(std::uint64_t seed, std::string_view cloud, int attempt) {
  return (seed ^ hash_of_name(cloud)) + static_cast<std::uint64_t>(attempt) * 0xd1342543de82ef95ULL;
}

int CloudCache::take(std::span<const std::uint64_t> ids, double now) {
  int leading = 0;
  bool is_leading = true;
  for (const std::uint64_t id : ids) {
    const auto known = read_.find(id);
    is_leading = is_leading && known != read_.end() && known->second + kKept >= now;
    leading += is_leading ? 1 : 0;
    read_[id] = now;
  }
  return leading;
}

CloudProvider::CloudProvider(simulated::Profile profile, CloudRules rules, std::uint64_t seed)
    : profile_(std::move(profile)),
      rules_(std::move(rules)),
      seed_(seed),
      limiter_(profile_.limit, TimePoint{}) {}

CloudReply CloudProvider::ask(const CloudRequest& request, double now) {
  if (const auto wait = refuse(request, now)) {
    return {.outcome = CloudOutcome::limited, .finish = now, .retry_after = *wait};
  }
  const simulated::Performance performance = simulated::perform(
      profile_, script_of(rules_, now), seed_of(seed_, profile_.name, request.attempt), request.id,
      request.prompt_tokens);
  CloudReply reply;
  if (performance.fault) {
    const bool silent = performance.fault->kind == simulated::FaultKind::silence;
    reply.outcome = silent ? CloudOutcome::timeout : CloudOutcome::error;
    reply.finish = now + performance.fault->after_seconds;
  } else {
    const int further = std::max(0, request.completion_tokens - 1);
    reply.first_token = now + performance.first_token_seconds;
    reply.finish = reply.first_token + further * performance.per_token_seconds;
    if (has_a_price_for_cached(profile_.price))
      reply.cached_tokens =
          std::min(request.prompt_tokens, kBlockTokens * cache_.take(request.prefix_ids, now));
  }
  finishes_.push(reply.finish);
  return reply;
}

int CloudProvider::in_flight(double now) {
  while (!finishes_.empty() && finishes_.top() <= now) finishes_.pop();
  return static_cast<int>(finishes_.size());
}

// Seconds to wait, if the account's limits do not let the request in.
std::optional<double> CloudProvider::refuse(const CloudRequest& request, double now) {
  const int most = profile_.limit.concurrency_max;
  if (most > 0 && in_flight(now) >= most) return finishes_.top() - now;
  const int tokens = request.prompt_tokens + request.completion_tokens;
  auto wait = limiter_.refuse(tokens, at_time(now));
  if (wait) *wait += kRounding;
  return wait;
}

}  // namespace spillway::simulate
