#include "gateway/policy/canary.h"

#include "backends/contract/name_hash.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <utility>

namespace spillway::policy {
namespace {

constexpr std::size_t kLookedBack = 1'000;
constexpr double kStandardErrors = 3.0;  // One way in a thousand is that by chance, each time.
constexpr double kRounding = 1e-9;       // Of shares: at the limit is within it.

struct Share {
  std::uint64_t part = 0;
  std::uint64_t whole = 0;

  double value() const { return static_cast<double>(part) / static_cast<double>(whole); }
};

std::uint64_t count(const CanaryJudge::Counts& counts, Outcome outcome) {
  return counts[static_cast<std::size_t>(outcome)];
}

std::uint64_t sum(const CanaryJudge::Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

// Of those that were promised something and got an answer.
Share attained(const CanaryJudge::Counts& counts) {
  const std::uint64_t kept = count(counts, Outcome::attained);
  return {kept, kept + count(counts, Outcome::missed)};
}

Share failed(const CanaryJudge::Counts& counts) {
  return {count(counts, Outcome::failed), sum(counts)};
}

// The standard error of the difference of two shares of one population.
double standard_error(const Share& a, const Share& b) {
  const double pooled =
      static_cast<double>(a.part + b.part) / static_cast<double>(a.whole + b.whole);
  return std::sqrt(pooled * (1.0 - pooled) *
                   (1.0 / static_cast<double>(a.whole) + 1.0 / static_cast<double>(b.whole)));
}

bool is_less(const Share& less, const Share& than, double by, std::uint64_t whole_min) {
  if (std::min(less.whole, than.whole) < std::max<std::uint64_t>(whole_min, 1)) return false;
  const double distance = than.value() - less.value();
  return distance > by + kRounding && distance > kStandardErrors * standard_error(less, than);
}

std::string compared(const char* what, const Share& canary, const Share& stable) {
  char text[160];
  std::snprintf(text, sizeof text, "%s: %.1f %% of %llu, beside %.1f %% of %llu", what,
                100.0 * canary.value(), static_cast<unsigned long long>(canary.whole),
                100.0 * stable.value(), static_cast<unsigned long long>(stable.whole));
  return text;
}

}  // namespace

double place_of(std::string_view name) { return share_of(hash_of_name(name)); }

void CanaryJudge::ended(Side side, Outcome outcome) {
  Ended& here = of(side);
  ++here.all[static_cast<std::size_t>(outcome)];
  ++here.of_late[static_cast<std::size_t>(outcome)];
  if (here.ring.size() < kLookedBack) return here.ring.push_back(outcome);
  --here.of_late[static_cast<std::size_t>(here.ring[here.next])];
  here.ring[here.next] = outcome;
  here.next = (here.next + 1) % kLookedBack;
}

void CanaryJudge::succeed(const config::Canary& terms) {
  terms_ = terms;
  of(Side::stable) = std::move(of(Side::canary));
  of(Side::canary) = {};
}

bool CanaryJudge::has_seen_enough() const {
  const auto enough = static_cast<std::size_t>(terms_.requests_min);
  return of(Side::stable).ring.size() >= enough && of(Side::canary).ring.size() >= enough;
}

std::string CanaryJudge::burning() const {
  if (!has_seen_enough()) return "";
  const Counts& canary = of(Side::canary).of_late;
  const Counts& stable = of(Side::stable).of_late;
  const auto enough = static_cast<std::uint64_t>(terms_.requests_min);
  if (is_less(attained(canary), attained(stable), terms_.attainment_loss_max, enough))
    return compared("promises kept", attained(canary), attained(stable));
  if (is_less(failed(stable), failed(canary), terms_.error_rise_max, enough))
    return compared("failed", failed(canary), failed(stable));
  return "";
}

}  // namespace spillway::policy
