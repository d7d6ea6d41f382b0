#include "gateway/policy/handover.h"

#include "config/named.h"
#include "gateway/policy/price.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr double kReserveShare = 0.1;   // Of the window, at least;
constexpr double kSecondsPerLine = 10;  // …and for each of those that are asked at once.
constexpr double kSlackShare = 0.02;    // Of a batch's time, before it would be too late.
constexpr double kLookShare = 0.2;      // Of what is left until then, between two looks.
constexpr double kLookLeast = 0.2;      // Seconds.

}  // namespace

double handover_reserve(std::int64_t lines, int at_once, double window) {
  const double one_by_one = kSecondsPerLine * std::ceil(static_cast<double>(lines) / at_once);
  return std::max(kReserveShare * window, one_by_one);
}

HandoverChoice choose_handover(const BatchProspect& batch) {
  HandoverChoice choice;
  const double reserve = handover_reserve(batch.lines, batch.at_once, batch.window);
  const double until_late = batch.time_left - batch.window - reserve;
  if (until_late < 0.0) return choice;
  const double slack = kSlackShare * batch.lifetime;
  const bool engine_helps = batch.engine_lines_per_second > 0.0;
  choice.look_in = std::max(kLookLeast, kLookShare * until_late);
  if (engine_helps && until_late > slack) {
    choice.look_in = std::max(kLookLeast, until_late - slack);
    return choice;
  }
  const double done_here = batch.engine_lines_per_second * (batch.time_left - reserve);
  const double too_many = std::ceil(static_cast<double>(batch.lines) - done_here);
  const auto lines = static_cast<std::int64_t>(std::max(0.0, too_many));
  if (lines >= batch.lines_min) choice.lines = lines;
  return choice;
}

std::optional<HandoverOffer> best_handover(const Plan& plan, int prompt_tokens) {
  std::optional<HandoverOffer> best;
  config::NanoUsd cheapest_at_once = 0;
  bool may_leave = false;
  for (const Candidate& candidate : plan.candidates) {
    const auto* const provider = config::named(plan.settings->providers, candidate.target);
    if (provider == nullptr || provider->is_here()) continue;
    cheapest_at_once =
        may_leave ? std::min(cheapest_at_once, candidate.expected_cost) : candidate.expected_cost;
    may_leave = true;
    if (!provider->batches.enabled) continue;
    Usage expected;
    expected.prompt_tokens = prompt_tokens + candidate.form_tokens;
    expected.completion_tokens = static_cast<int>(std::lround(plan.completion_tokens));
    expected.at_batch_rate = true;
    const config::NanoUsd cost = cost_of(provider->price, expected);
    if (!best || cost < best->cost) best = HandoverOffer{candidate, cost};
    if (plan.reason == Reason::rule) break;  // Behind the one that it names stand the others.
  }
  if (best && best->cost > cheapest_at_once) best.reset();
  return best;
}

}  // namespace spillway::policy
