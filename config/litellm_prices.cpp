#include "config/litellm_prices.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

namespace spillway::config {
namespace {

constexpr double kTokens = 1e6;
constexpr double kUsdMost = 1e9;
constexpr double kSameShare = 1e-6;

struct PriceName {
  std::string_view theirs;
  std::string_view ours;
  bool needed = false;
  std::string_view otherwise = {};  // What it costs where it has no price.
};

constexpr PriceName kPrices[] = {
    {"input_cost_per_token", "input", true},
    {"output_cost_per_token", "output", true},
    {"cache_read_input_token_cost", "cached_input"},
    {"cache_creation_input_token_cost", "cache_write"},
    {"cache_creation_input_token_cost_above_1hr", "cache_write_1h"},
    {"input_cost_per_audio_token", "audio_input", false, "input_cost_per_token"},
    {"output_cost_per_audio_token", "audio_output", false, "output_cost_per_token"},
};

// From how many tokens on a prompt may cost more, the nearest first.
struct Length {
  std::string_view suffix;
  std::string_view tokens;
};

constexpr Length kLengths[] = {
    {"_above_100k_tokens", "100000"}, {"_above_128k_tokens", "128000"},
    {"_above_200k_tokens", "200000"}, {"_above_256k_tokens", "256000"},
    {"_above_272k_tokens", "272000"}, {"_above_512k_tokens", "512000"},
};

// What a request costs, or a unit of a ranking, whose price that is, too.
constexpr std::string_view kPerRequest[] = {"input_cost_per_request", "input_cost_per_query"};

// By how much of what it finds is read.
constexpr std::string_view kPerSearch = "search_context_cost_per_query";
constexpr std::string_view kSizes[] = {"search_context_size_low", "search_context_size_medium",
                                       "search_context_size_high"};

std::string joined(std::string_view a, std::string_view b) {
  return std::string(a) + std::string(b);
}

// "1.5e-07" a token → 0.15 a million.
std::optional<double> usd_of(const std::string& text, double times) {
  char* end = nullptr;
  const double usd = std::strtod(text.c_str(), &end) * times;
  if (text.empty() || *end != '\0' || !(usd >= 0.0) || usd > kUsdMost) return std::nullopt;
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

class Reading {
 public:
  explicit Reading(const LiteLlmText& text) : text_(text) {}

  LiteLlmPrices prices() {
    prices_.per_million = of_tokens();
    read_requests();
    read_searches();
    read_flex();
    return std::move(prices_);
  }

 private:
  std::optional<double> per_million(std::string_view key) const {
    return usd_of(text_(key), kTokens);
  }

  void add(std::string_view ours, std::string value) {
    prices_.beside.emplace_back(ours, std::move(value));
  }

  std::string of_tokens() {
    const std::string usual = listed("");
    if (usual.empty()) return "";
    for (const Length& length : kLengths) {  // A target has one: the nearest that is told whole.
      const std::string at_length = listed(length.suffix);
      if (at_length.empty()) continue;
      return "{" + usual + ", long: {above: " + std::string(length.tokens) + ", " + at_length +
             "}}";
    }
    return "{" + usual + "}";
  }

  // Of long prompts none may be less than of others: holds reckon with that.
  bool is_less(double usd, const PriceName& than) const {
    if (!than.needed && than.otherwise.empty()) return false;
    const auto usual = per_million(than.theirs);
    return usd < (usual ? usual : per_million(than.otherwise)).value_or(0.0);
  }

  // "input: 2.5usd, output: 10usd" of the keys with that suffix. Empty if one is missing that is
  // needed; what is cached costs as much in long prompts as in others, if nothing else is said.
  std::string listed(std::string_view suffix) {
    std::string prices;
    std::vector<std::string> keys;
    for (const PriceName& one : kPrices) {
      std::string key = joined(one.theirs, suffix);
      const bool is_of_cache = !one.needed && one.otherwise.empty();
      if (is_of_cache && text_(key).empty()) key = one.theirs;
      const auto usd = per_million(key);
      const bool has_place = usd && !is_less(*usd, one);
      if (one.needed && !has_place) return "";
      if (!has_place) continue;
      prices += (prices.empty() ? "" : ", ") + std::string(one.ours) + ": " + amount(*usd);
      keys.push_back(std::move(key));
    }
    prices_.read.insert(prices_.read.end(), keys.begin(), keys.end());
    return prices;
  }

  void read_requests() {
    for (const std::string_view key : kPerRequest) {
      const auto usd = usd_of(text_(key), 1.0);
      if (!usd) continue;
      if (*usd > 0.0) add("price_per_request", amount(*usd));
      prices_.read.emplace_back(key);
      return;
    }
  }

  // One price for all sizes.
  void read_searches() {
    std::optional<double> each = usd_of(text_(kPerSearch), 1.0);
    for (const std::string_view size : kSizes) {
      const auto usd = usd_of(text_(joined(kPerSearch, ".") + std::string(size)), 1.0);
      if (usd && each && *usd != *each) return;
      if (usd) each = usd;
    }
    if (!each) return;
    if (*each > 0.0) add("price_per_search", amount(*each));
    prices_.read.emplace_back(kPerSearch);
  }

  void read_flex() {
    std::optional<double> share;
    std::vector<std::string> keys;
    for (const PriceName& one : kPrices) {
      std::string key = joined(one.theirs, kLiteLlmFlex);
      const auto plain = per_million(one.theirs);
      const auto flex = per_million(key);
      if (!flex && !one.needed) continue;
      if (!plain || !flex) return;
      keys.push_back(std::move(key));
      if (*plain == 0.0 && *flex == 0.0) continue;  // Vectors have no answer to pay for.
      const double saved = 1.0 - *flex / *plain;
      if (share && std::abs(*share - saved) > kSameShare) return;
      share = saved;
    }
    if (!share || !(*share > kSameShare) || *share >= 1.0) return;
    char shown[32];
    std::snprintf(shown, sizeof shown, "%.6g", *share);
    add("batch_discount", shown);
    prices_.read.insert(prices_.read.end(), keys.begin(), keys.end());
  }

  const LiteLlmText& text_;
  LiteLlmPrices prices_;
};

}  // namespace

LiteLlmPrices litellm_prices(const LiteLlmText& text) { return Reading(text).prices(); }

}  // namespace spillway::config
