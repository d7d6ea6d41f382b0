#include "config/litellm_prices.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>

namespace spillway::config {
namespace {

constexpr double kTokens = 1e6;
constexpr double kUsdMost = 1e9;
constexpr double kSameShare = 1e-6;

struct PriceName {
  std::string_view theirs;
  std::string_view ours;
  bool needed = false;
};

constexpr PriceName kPrices[] = {
    {"input_cost_per_token", "input", true},
    {"output_cost_per_token", "output", true},
    {"cache_read_input_token_cost", "cached_input"},
    {"cache_creation_input_token_cost", "cache_write"},
    {"cache_creation_input_token_cost_above_1hr", "cache_write_1h"},
    {"input_cost_per_audio_token", "audio_input"},
    {"output_cost_per_audio_token", "audio_output"},
};

// From how many tokens on a prompt may cost more.
struct Length {
  std::string_view suffix;
  std::string_view tokens;
};

constexpr Length kLengths[] = {
    {"_above_128k_tokens", "128000"}, {"_above_200k_tokens", "200000"},
    {"_above_256k_tokens", "256000"}, {"_above_272k_tokens", "272000"},
    {"_above_512k_tokens", "512000"},
};

// "1.5e-07" a token → 0.15 a million.
std::optional<double> per_million(const std::string& per_token) {
  char* end = nullptr;
  const double usd = std::strtod(per_token.c_str(), &end) * kTokens;
  if (per_token.empty() || *end != '\0' || !(usd >= 0.0) || usd > kUsdMost) return std::nullopt;
  return usd;
}

std::string amount(double usd) {
  char text[64];
  std::snprintf(text, sizeof text, "%.9f", usd);
  std::string shown(text);
  while (shown.back() == '0') shown.pop_back();
  if (shown.back() == '.') shown.pop_back();
  return shown + "usd";
}

// "input: 2.5usd, output: 10usd" of the keys with that suffix.
std::string listed(const LiteLlmText& text, std::string_view suffix) {
  std::string prices;
  for (const PriceName& one : kPrices) {
    const auto usd = per_million(text(std::string(one.theirs) + std::string(suffix)));
    const bool has_place = suffix.empty() || one.ours.find("audio") == one.ours.npos;
    if (usd && has_place)
      prices += (prices.empty() ? "" : ", ") + std::string(one.ours) + ": " + amount(*usd);
    else if (one.needed)
      return "";
  }
  return prices;
}

}  // namespace

bool is_litellm_price(std::string_view key) {
  return std::any_of(std::begin(kPrices), std::end(kPrices),
                     [key](const PriceName& one) { return one.theirs == key; });
}

std::string litellm_prices(const LiteLlmText& text) {
  const std::string prices = listed(text, "");
  const std::string_view suffix = litellm_long_suffix(text);
  if (prices.empty() || suffix.empty()) return prices.empty() ? "" : "{" + prices + "}";
  const auto at = std::find_if(std::begin(kLengths), std::end(kLengths),
                               [&](const Length& one) { return one.suffix == suffix; });
  return "{" + prices + ", long: {above: " + std::string(at->tokens) + ", " + listed(text, suffix) +
         "}}";
}

std::string_view litellm_long_suffix(const LiteLlmText& text) {
  std::string_view found;
  for (const Length& one : kLengths) {
    const bool told = !text("input_cost_per_token" + std::string(one.suffix)).empty();
    if (told && !found.empty()) return "";
    if (told) found = one.suffix;
  }
  return listed(text, found).empty() ? "" : found;
}

std::string litellm_flex_discount(const LiteLlmText& text) {
  std::optional<double> share;
  for (const PriceName& one : kPrices) {
    const auto plain = per_million(text(one.theirs));
    const auto flex = per_million(text(std::string(one.theirs) + std::string(kLiteLlmFlex)));
    if (!flex && !one.needed) continue;
    if (!plain || !flex) return "";
    if (*plain == 0.0 && *flex == 0.0) continue;  // Vectors have no answer to pay for.
    const double saved = 1.0 - *flex / *plain;
    if (share && std::abs(*share - saved) > kSameShare) return "";
    share = saved;
  }
  if (!share || !(*share > kSameShare) || *share >= 1.0) return "";
  char shown[32];
  std::snprintf(shown, sizeof shown, "%.6g", *share);
  return shown;
}

}  // namespace spillway::config
