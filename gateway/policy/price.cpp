#include "gateway/policy/price.h"

#include "gateway/policy/takes.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ratio>
#include <utility>

namespace spillway::policy {
namespace {

using Wide = __int128;

constexpr Wide kMillion = 1'000'000;

// Rounded up. What fits into 64 bits, as nearly everything does, is divided there.
Wide millionths(Wide amount) {
  const Wide up = amount + kMillion - 1;
  constexpr Wide kNarrow = std::numeric_limits<std::int64_t>::max();
  return up <= kNarrow ? static_cast<std::int64_t>(up) / 1'000'000 : up / kMillion;
}

Wide part(int tokens, config::NanoUsd per_million) {
  return static_cast<Wide>(std::max(tokens, 0)) * std::max<config::NanoUsd>(per_million, 0);
}

Wide whole(config::NanoUsd nano_usd) {
  return static_cast<Wide>(std::max<config::NanoUsd>(nano_usd, 0)) * kMillion;
}

Wide part_of_searches(const Usage& usage, const config::Price& price) {
  return whole(price.per_search) * std::max(usage.searches, 0);
}

// What is left of it with such a share off.
Wide less(Wide amount, double share) {
  const auto millionths = std::clamp<std::int64_t>(std::llround(share * 1e6), 0, 1'000'000);
  return (amount * (kMillion - millionths) + kMillion - 1) / kMillion;
}

bool is_long(const config::Price& price, int prompt_tokens) {
  return price.long_prompts.above > 0 && prompt_tokens > price.long_prompts.above;
}

config::NanoUsd rounded_up(Wide nano_usd_millionths) {
  const Wide whole = millionths(nano_usd_millionths);
  constexpr Wide kMost = std::numeric_limits<config::NanoUsd>::max();
  return static_cast<config::NanoUsd>(std::min(whole, kMost));
}

}  // namespace

std::optional<int> tokens_of_all(std::optional<int> each_max, int choices) {
  if (choices == 1) return each_max;
  const std::int64_t all = std::int64_t{each_max.value_or(kCompletionTokensAssumed)} * choices;
  return static_cast<int>(std::min<std::int64_t>(all, std::numeric_limits<int>::max()));
}

config::Price at_length(const config::Price& price, int prompt_tokens) {
  config::Price there = price;
  if (!is_long(price, prompt_tokens)) return there;
  const config::LongPrompts& its = price.long_prompts;
  there.input_per_million = its.input_per_million;
  there.output_per_million = its.output_per_million;
  there.cached_input_per_million = its.cached_input_per_million;
  there.cache_write_per_million = its.cache_write_per_million;
  there.cache_write_1h_per_million = its.cache_write_1h_per_million;
  there.audio_input_per_million = its.audio_input_per_million;
  there.audio_output_per_million = its.audio_output_per_million;
  there.long_prompts.above = 0;
  return there;
}

config::NanoUsd cost_of(const config::Price& price, const Usage& usage) {
  if (usage.unbilled) return 0;
  const int prompt = std::max(usage.prompt_tokens, 0);
  if (is_long(price, prompt)) return cost_of(at_length(price, prompt), usage);
  const int cached = std::clamp(usage.cached_tokens, 0, prompt);
  const int written = std::clamp(usage.cache_written_tokens, 0, prompt - cached);
  const int for_an_hour = std::clamp(usage.cache_written_1h_tokens, 0, written);
  const int heard = std::clamp(usage.audio_prompt_tokens, 0, prompt - cached - written);
  const int answer = std::max(usage.completion_tokens, 0);
  const int spoken = std::clamp(usage.audio_completion_tokens, 0, answer);
  Wide tokens = part(prompt - cached - written - heard, price.input_per_million) +
                part(cached, price.cached_input_per_million) +
                part(written - for_an_hour, price.cache_write_per_million) +
                part(for_an_hour, price.cache_write_1h_per_million) +
                part(heard, price.audio_input_per_million) +
                part(answer - spoken, price.output_per_million) +
                part(spoken, price.audio_output_per_million);
  if (usage.at_batch_rate) tokens = less(tokens, price.batch_discount);
  return rounded_up(tokens + whole(price.per_request) + part_of_searches(usage, price));
}

config::NanoUsd worst_case_cost(const config::Price& price, int prompt_tokens,
                                std::optional<int> completion_tokens_max) {
  if (is_long(price, prompt_tokens))
    return worst_case_cost(at_length(price, prompt_tokens), prompt_tokens, completion_tokens_max);
  const auto input = std::max({price.input_per_million, price.cached_input_per_million,
                               price.cache_write_per_million, price.cache_write_1h_per_million,
                               price.audio_input_per_million});
  const auto output = std::max(price.output_per_million, price.audio_output_per_million);
  const int completion_tokens = completion_tokens_max.value_or(kCompletionTokensAssumed);
  return rounded_up(part(prompt_tokens, input) + part(completion_tokens, output) +
                    whole(price.per_request));
}

config::Price by_search_units(config::Price price) {
  if (price.per_search == 0) price.per_search = std::exchange(price.per_request, 0);
  return price;
}

config::NanoUsd hourly_cost(const config::LocalTarget& target) {
  const config::Machine& node = target.node;
  const double hours = std::chrono::duration<double, std::ratio<3600>>(node.lifetime).count();
  const double hardware = hours > 0.0 ? static_cast<double>(node.price) / hours : 0.0;
  const double power = node.watts / 1e3 * static_cast<double>(node.per_kwh);
  return target.cost_per_hour + static_cast<config::NanoUsd>(hardware + power);
}

LocalPrice local_price(config::NanoUsd per_hour, const EngineStatus& engine, int context_tokens) {
  const int engines = std::max(1, engine.engines());
  const StepModel& step = engine.step;
  const double token_seconds = step.seconds(1, context_tokens, 0);
  const double prompt_tokens_a_step = std::max(1, engine.budget.prompt_tokens(step, 0, 0));
  LocalPrice price{.engine_hour = per_hour / engines, .tokens = {}};
  const auto per_million = [&price](double seconds) {
    const double per_second = static_cast<double>(price.engine_hour) / 3'600.0;
    return static_cast<config::NanoUsd>(per_second * seconds * 1e6);
  };
  price.tokens.input_per_million =
      per_million(step.per_prefill_token + step.base / prompt_tokens_a_step);
  price.tokens.output_per_million = per_million(token_seconds);
  price.tokens.cached_input_per_million = 0;
  price.tokens.cache_write_per_million = 0;
  price.tokens.cache_write_1h_per_million = 0;
  price.tokens.audio_input_per_million = 0;
  price.tokens.audio_output_per_million = 0;
  return price;
}

config::NanoUsd cost_of_time(config::NanoUsd per_hour, std::chrono::nanoseconds time) {
  constexpr Wide kHour = std::chrono::nanoseconds(std::chrono::hours(1)).count();
  const Wide product = Wide{std::max<config::NanoUsd>(per_hour, 0)} *
                       std::max<std::chrono::nanoseconds::rep>(time.count(), 0);
  constexpr Wide kMost = std::numeric_limits<config::NanoUsd>::max();
  return static_cast<config::NanoUsd>(std::min((product + kHour - 1) / kHour, kMost));
}

config::NanoUsd avoided_cost(const std::vector<config::ProviderTarget>& providers, Endpoint asks,
                             const Usage& usage) {
  Usage uncached = usage;
  uncached.cached_tokens = 0;
  uncached.cache_written_tokens = 0;
  std::optional<config::NanoUsd> cheapest;
  for (const config::ProviderTarget& provider : providers) {
    if (provider.is_here() || !serves(provider, asks)) continue;
    const config::NanoUsd cost = cost_of(provider.price, uncached);
    if (!cheapest || cost < *cheapest) cheapest = cost;
  }
  return cheapest.value_or(0);
}

}  // namespace spillway::policy
