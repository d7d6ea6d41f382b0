// What LiteLLM says that a model costs, as keys of a target. Pure; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

// The text of a key of LiteLLM's, of one within another by both with a dot between; empty where
// there is none.
using LiteLlmText = std::function<std::string(std::string_view key)>;

struct LiteLlmPrices {
  // "{input: 2.5usd, output: 10usd}" a million tokens, with `long` where there are such prices;
  // empty if either of these is not given.
  std::string per_million;
  // Further keys with their values: {"price_per_search", "0.01usd"}.
  std::vector<std::pair<std::string, std::string>> beside;
  // LiteLLM's keys that all this says; what others of its prices say has no place here.
  std::vector<std::string> read;
};

LiteLlmPrices litellm_prices(const LiteLlmText& text);

// How the keys of its flex tier end, which is a `batch_discount` where prompt and answer have a
// price there, and all that has one costs less by the same share.
inline constexpr std::string_view kLiteLlmFlex = "_flex";

}  // namespace spillway::config
