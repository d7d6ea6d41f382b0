#include "backends/cloud/rate_headers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <utility>

namespace spillway::cloud {
namespace {

using std::chrono::milliseconds;

enum Kind : std::size_t { kRequests, kTokens, kInputTokens };

constexpr std::array<std::string_view, 3> kKinds = {"requests", "tokens", "input-tokens"};
constexpr std::string_view kOpenAi = "x-ratelimit-";
constexpr std::string_view kAnthropic = "anthropic-ratelimit-";
constexpr double kLongest = 24.0 * 3'600.0 * 1'000.0;  // Milliseconds: a day.

constexpr std::pair<std::string_view, double> kUnits[] = {
    {"ms", 1.0}, {"h", 3'600'000.0}, {"m", 60'000.0}, {"s", 1'000.0}};

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size() && value >= 0;
  return is_whole ? std::optional(value) : std::nullopt;
}

std::optional<milliseconds> until(const std::string& text, std::int64_t date) {
  std::tm parts{};
  const char* const end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr) return std::nullopt;
  const double seconds = std::difftime(timegm(&parts), static_cast<std::time_t>(date));
  return milliseconds(std::llround(std::clamp(seconds * 1e3, 0.0, kLongest)));
}

}  // namespace

std::optional<milliseconds> duration_of(std::string_view text) {
  double all = 0.0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !std::isfinite(value) || value < 0.0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const auto* const unit =
        std::find_if(std::begin(kUnits), std::end(kUnits),
                     [&](const auto& one) { return text.starts_with(one.first); });
    const bool is_bare = text.empty() && all == 0.0;
    if (unit == std::end(kUnits) && !is_bare) return std::nullopt;
    all += value * (is_bare ? 1'000.0 : unit->second);
    if (!is_bare) text.remove_prefix(unit->first.size());
  }
  return milliseconds(std::llround(std::ceil(std::min(all, kLongest))));
}

void RateHeaders::note(std::string_view name, std::string_view value) {
  const bool is_openai = name.starts_with(kOpenAi), is_anthropic = name.starts_with(kAnthropic);
  if (!is_openai && !is_anthropic) return;
  name.remove_prefix(is_openai ? kOpenAi.size() : kAnthropic.size());
  // "remaining-tokens" of the one, "tokens-remaining" of the other.
  const std::size_t dash = is_openai ? name.find('-') : name.rfind('-');
  if (dash == name.npos) return;
  std::string_view what = name.substr(0, dash), kind = name.substr(dash + 1);
  if (is_anthropic) std::swap(what, kind);
  const auto* const known = std::find(kKinds.begin(), kKinds.end(), kind);
  if (known == kKinds.end()) return;
  Said& said = said_[static_cast<std::size_t>(known - kKinds.begin())];
  if (what == "limit") said.limit = value;
  if (what == "remaining") said.remaining = value;
  if (what == "reset") said.reset = value;
}

std::optional<RateLeft::Room> RateHeaders::room_of(const Said& said,
                                                   std::optional<std::int64_t> date) {
  const auto left = whole(said.remaining);
  auto full_in = duration_of(said.reset);
  if (!full_in && date) full_in = until(said.reset, *date);
  if (!left || !full_in) return std::nullopt;
  return RateLeft::Room{*left, whole(said.limit), *full_in};
}

RateLeft RateHeaders::left(std::optional<std::int64_t> date) const {
  RateLeft all{room_of(said_[kRequests], date), room_of(said_[kTokens], date)};
  const auto input = room_of(said_[kInputTokens], date);
  if (input && (!all.tokens || input->left < all.tokens->left)) all.tokens = input;
  return all;
}

}  // namespace spillway::cloud
