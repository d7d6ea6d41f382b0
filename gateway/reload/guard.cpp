#include "gateway/reload/guard.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <optional>

namespace spillway {
namespace {

// So much of what the cheapest provider asks for everything counts as spent at least: from nothing
// to next to nothing is no growth.
constexpr double kSpentAtLeast = 0.1;

constexpr double kRounding = 1e-9;  // Of shares: at the limit is within it.

[[gnu::format(printf, 1, 2)]] std::string format(const char* how, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, how);
  std::vsnprintf(text, sizeof text, how, arguments);
  va_end(arguments);
  return text;
}

double in_usd(double nano_usd) { return nano_usd * 1e-9; }

std::optional<std::string> too_many_stranded(const Rehearsed& of, const config::Guard& guard) {
  const auto most = (guard.stranded_max + kRounding) * static_cast<double>(of.decisions);
  if (static_cast<double>(of.stranded) <= most) return std::nullopt;
  return format("%zu of the last %zu decisions went somewhere and could go nowhere ", of.stranded,
                of.decisions) +
         format("(guard.stranded_max: %g); ", guard.stranded_max) + of.example;
}

std::optional<std::string> too_dear(const Rehearsed& of, const config::Guard& guard) {
  const auto after = static_cast<double>(of.cost_after);
  const double before = std::max(static_cast<double>(of.cost_before),
                                 kSpentAtLeast * static_cast<double>(of.cost_cheapest));
  if (after <= before * (1.0 + guard.spend_growth_max + kRounding)) return std::nullopt;
  return format("the last %zu decisions would cost %.6fusd, and cost %.6fusd now ", of.sent,
                in_usd(after), in_usd(static_cast<double>(of.cost_before))) +
         format("(guard.spend_growth_max: %g)", guard.spend_growth_max);
}

std::optional<std::string> too_late(const Rehearsed& of, const config::Guard& guard) {
  const auto all = static_cast<double>(of.sent);
  const double before = static_cast<double>(of.in_time_before) / all;
  const double after = static_cast<double>(of.in_time_after) / all;
  if (after >= before - guard.attainment_loss_max - kRounding) return std::nullopt;
  return format("%.1f %% of the last %zu decisions would be in time, and %.1f %% are now ",
                100.0 * after, of.sent, 100.0 * before) +
         format("(guard.attainment_loss_max: %g)", guard.attainment_loss_max);
}

}  // namespace

std::string objections(const Rehearsed& rehearsed, const config::Guard& guard) {
  std::string all;
  const auto add = [&all](const std::optional<std::string>& objection) {
    if (objection) all += (all.empty() ? "" : "; ") + *objection;
  };
  add(too_many_stranded(rehearsed, guard));
  if (rehearsed.sent < static_cast<std::size_t>(guard.decisions_min)) return all;
  add(too_dear(rehearsed, guard));
  add(too_late(rehearsed, guard));
  return all;
}

}  // namespace spillway
