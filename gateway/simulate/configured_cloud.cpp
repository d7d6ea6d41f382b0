#include "gateway/simulate/configured_cloud.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace spillway::simulate {
namespace {

constexpr double kOverloadBegins = 0.4;  // Of the trace's length.
constexpr double kOverloadEnds = 0.6;
constexpr double kOverloadSlowness = 3.2 / 0.98;  // The reference's overload, times its usual mean.
constexpr double kNormal99 = 2.3263;              // The normal law's P99.
constexpr double kRateSigma = 0.2;
constexpr int kAnswersLeast = 20;  // Fewer say nothing.

bool is_reference(std::string_view name) {
  return std::find(kReferenceClouds.begin(), kReferenceClouds.end(), name) !=
         kReferenceClouds.end();
}

double seconds(config::Milliseconds time) { return std::chrono::duration<double>(time).count(); }

const MeasuredCloud* measured_of(const std::string& name, const CloudWorld& world) {
  const auto found = world.measured.find(name);
  const bool is_enough = found != world.measured.end() && found->second.answers >= kAnswersLeast;
  return is_enough ? &found->second : nullptr;
}

simulated::LatencyLaw law_through(double p50, double p99, double tokens_per_second) {
  simulated::LatencyLaw law;
  law.first_token_sigma = p99 > p50 && p50 > 0.0 ? std::log(p99 / p50) / kNormal99 : 0.0;
  law.first_token_mean = p50 * std::exp(law.first_token_sigma * law.first_token_sigma / 2.0);
  law.per_token_mean = tokens_per_second > 0.0 ? 1.0 / tokens_per_second : 0.0;
  law.per_token_sigma = kRateSigma;
  return law;
}

simulated::Profile usual_profile(const config::ProviderTarget& provider, const CloudWorld& world) {
  if (is_reference(provider.name)) return *simulated::find_profile(provider.name);
  simulated::Profile profile;
  profile.name = provider.name;
  const config::Measured& said = provider.measured;
  const MeasuredCloud* const seen = measured_of(provider.name, world);
  const bool rate_is_seen = seen != nullptr && seen->tokens_per_second > 0.0;
  profile.latency = law_through(seen ? seen->ttft_p50 : seconds(said.ttft_p50),
                                seen ? seen->ttft_p99 : seconds(said.ttft_p99),
                                rate_is_seen ? seen->tokens_per_second : said.tokens_per_second);
  profile.limit = {static_cast<double>(provider.rate_limit.requests_per_minute),
                   static_cast<double>(provider.rate_limit.tokens_per_minute),
                   provider.concurrency_max};
  profile.quality = said.quality;
  return profile;
}

config::NanoUsd usual_price(const config::ProviderTarget& provider) {
  constexpr simulated::LatencyLaw kUsual;
  return kUsual.reference_input * provider.price.input_per_million +
         kUsual.reference_output * provider.price.output_per_million;
}

}  // namespace

double at_reference_prompt(double seconds, int prompt_tokens) {
  constexpr simulated::LatencyLaw kUsual;
  constexpr double kLeast = 1e-3;
  const double longer = std::max(0, prompt_tokens - kUsual.reference_input);
  return std::max(kLeast, seconds - longer / kUsual.input_tokens_per_second);
}

std::string usually_overloaded(const config::Settings& settings) {
  const config::ProviderTarget* cheapest = nullptr;
  for (const config::ProviderTarget& one : settings.providers) {
    if (one.name == kReferenceClouds.front()) return one.name;
    if (one.is_here()) continue;
    if (cheapest == nullptr || usual_price(one) < usual_price(*cheapest)) cheapest = &one;
  }
  return cheapest == nullptr ? "" : cheapest->name;
}

simulated::Profile profile_of(const config::ProviderTarget& provider, const CloudWorld& world) {
  simulated::Profile profile = usual_profile(provider, world);
  profile.price = provider.price;
  const double mean = profile.latency.response_mean();
  if (mean > 0.0) profile.latency = profile.latency.with_response_mean(world.slowdown * mean);
  return profile;
}

CloudRules rules_of(const config::ProviderTarget& provider, const CloudWorld& world) {
  CloudRules rules;
  if (const MeasuredCloud* seen = measured_of(provider.name, world);
      seen != nullptr && !is_reference(provider.name))
    rules.failure_share = seen->failure_share;
  const auto failing = world.failing.find(provider.name);
  if (failing != world.failing.end()) rules.failure_share = failing->second;
  if (world.overloaded != provider.name) return rules;
  Overload overload{kOverloadBegins * world.length, kOverloadEnds * world.length};
  overload.failure_share = std::max(overload.failure_share, rules.failure_share);
  if (!is_reference(provider.name))
    overload.response_mean =
        kOverloadSlowness * usual_profile(provider, world).latency.response_mean();
  rules.overload = overload;
  return rules;
}

std::vector<CloudProvider> clouds_of(const config::ProviderTarget& provider,
                                     const CloudWorld& world) {
  const std::size_t servers = std::max<std::size_t>(1, provider.base_urls.size());
  return {servers,
          CloudProvider(profile_of(provider, world), rules_of(provider, world), world.seed)};
}

}  // namespace spillway::simulate
