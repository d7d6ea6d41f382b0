// What an answer costs, in whole nano-USD. Exact integer arithmetic: the parts are summed in 128
// bits, divided by a million once, and rounded up to the next nano-USD, so that a bill is never
// below the price and a hold never below the bill. Saturates instead of overflowing. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/status.h"
#include "config/settings.h"

#include <chrono>
#include <optional>
#include <vector>

namespace spillway::policy {

// Taken for the longest answer where neither the client nor the target says how long it may get.
constexpr int kCompletionTokensAssumed = 4096;

// The tokens that all choices of an answer together may have, each with its limit. Nothing: one
// choice without a limit.
std::optional<int> tokens_of_all(std::optional<int> each_max, int choices);

// What is asked where the prompt is so long: the price itself, or that of long prompts in its
// place.
config::Price at_length(const config::Price& price, int prompt_tokens);

// A ranking's search units cost what searches do, or, where these have no price, requests.
config::Price by_search_units(config::Price price);

// The price of what was used; tokens from a cache, or written into it, and sounds are part of the
// prompt or the answer and cost their own price. A token that is two of them costs the former's.
config::NanoUsd cost_of(const config::Price& price, const Usage& usage);

// The most that a request can cost: each token at the dearest price, the answer as long as it may
// be, and nothing off.
config::NanoUsd worst_case_cost(const config::Price& price, int prompt_tokens,
                                std::optional<int> completion_tokens_max);

// What an hour of full work costs its owner: the target's cost_per_hour, its node's price by the
// hour of its life, and the power.
config::NanoUsd hourly_cost(const config::LocalTarget& target);

// What the local engine costs: its time, and what tokens are expected to take of it.
struct LocalPrice {
  config::NanoUsd engine_hour = 0;  // Of one engine, where there are several.
  config::Price tokens;

  friend bool operator==(const LocalPrice&, const LocalPrice&) = default;
};

// From what it costs an hour and how fast it is now, of a request of so many tokens in all: what
// they take at most, each step alone, so that what is held suffices. The hour's idle time is
// nobody's.
LocalPrice local_price(config::NanoUsd per_hour, const EngineStatus& engine, int context_tokens);

// What so much of an hour costs.
config::NanoUsd cost_of_time(config::NanoUsd per_hour, std::chrono::nanoseconds time);

// What the cheapest provider of that endpoint would have asked for this usage, had it not been
// served locally; 0 without providers. Cached tokens are the local engine's luck: the provider is
// assumed to have read the whole prompt.
config::NanoUsd avoided_cost(const std::vector<config::ProviderTarget>& providers, Endpoint asks,
                             const Usage& usage);

}  // namespace spillway::policy
