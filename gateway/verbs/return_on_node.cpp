#include "gateway/verbs/return_on_node.h"

#include <algorithm>
#include <cstdio>

namespace spillway::verbs {
namespace {

constexpr double kDaysPerYear = 365.0;
constexpr double kMonths = 12.0;
constexpr double kHoursPerYear = 24.0 * kDaysPerYear;

double in_usd(double nano_usd) { return nano_usd / 1e9; }
double in_usd(config::NanoUsd amount) { return in_usd(static_cast<double>(amount)); }

// What the node took beside its price.
struct Running {
  double worked = 0.0;  // Hours.
  double energy = 0.0;  // Kilowatt-hours.
  double power = 0.0;   // USD.
  double care = 0.0;    // USD.
};

Running running_of(const config::LocalTarget& target, const NodeWork& work) {
  const config::Machine& node = target.node;
  if (work.hourly == 0) return {.care = in_usd(work.booked)};
  Running running;
  running.worked = std::min(work.hours, in_usd(work.booked) / in_usd(work.hourly));
  const double idle = work.hours - running.worked;
  running.energy = (running.worked * node.watts + idle * node.idle_watts) / 1e3;
  running.power = running.energy * in_usd(node.per_kwh);
  running.care = work.hours * in_usd(target.cost_per_hour);
  return running;
}

}  // namespace

void print_return(const config::LocalTarget& target, const NodeWork& work) {
  const Running running = running_of(target, work);
  const double avoided = in_usd(work.avoided);
  const double saved = avoided - running.power - running.care;
  const double yearly = work.hours > 0.0 ? saved / work.hours * kHoursPerYear : 0.0;
  const double price = in_usd(target.node.price);
  std::printf("\nReturn on the node\n");
  std::printf("  price of the node        %12.2f USD\n", price);
  if (work.hourly > 0) {
    std::printf("  an hour of full work     %12.6f USD (cost_per_hour, node.price, power)\n",
                in_usd(work.hourly));
    std::printf("  worked                   %12.2f hours of %.1f: utilisation %.1f %%\n",
                running.worked, work.hours, 100.0 * running.worked / std::max(work.hours, 1.0));
    std::printf("  power                    %12.2f USD (%.1f kWh)\n", running.power,
                running.energy);
    std::printf("  cost_per_hour            %12.2f USD, idle hours too\n", running.care);
  } else {
    std::printf(
        "  its running cost         %12.2f USD as booked: no configuration tells of idle "
        "hours and power\n",
        running.care);
  }
  std::printf("  avoided                  %12.2f USD in %.1f days\n", avoided, work.hours / 24.0);
  std::printf("  saved in a year          %12.2f USD at this pace\n", yearly);
  if (yearly > 0.0) {
    std::printf("  pays for itself in       %12.1f months\n", price / yearly * kMonths);
  } else {
    std::printf("  pays for itself          never, at this pace\n");
  }
}

void print_article() {
  constexpr double kNode = 15'000.0, kYearly = 28'000.0, kCalls = 100'000.0, kSaid = 8.0;
  constexpr double kCheapest = 1.98, kDearest = 2.75, kPrompt = 512.0;
  const double monthly = kYearly / kMonths;
  const double per_call = kYearly / kDaysPerYear / kCalls;
  const double implied = kNode / kSaid * kMonths;
  const double running = kYearly - implied;
  const double prompts = kPrompt * kCheapest / 1e6 * kCalls * kDaysPerYear;
  std::printf(
      "The article: a node of $15,000, 100,000 calls a day, $28,000 saved a year, paid for "
      "in about 8 months.\n\n");
  std::printf("  28,000 / 12               = %9.2f USD saved a month\n", monthly);
  std::printf("  15,000 / %.2f          = %9.2f months, not 8: does not add up\n", monthly,
              kNode / monthly);
  std::printf("  15,000 / 8 x 12           = %9.2f USD a year would be 8 months\n", implied);
  std::printf(
      "  28,000 - %.0f           = %9.2f USD a year (%.2f USD an hour) is missing: the "
      "node's power and care, if they are left out of the 28,000\n",
      implied, running, running / kHoursPerYear);
  std::printf("  28,000 / 365 / 100,000    = %9.6f USD a call\n", per_call);
  std::printf("  at 2.75 and 1.98 USD/M    = %4.0f to %.0f tokens a call, prompt and answer\n",
              per_call / kDearest * 1e6, per_call / kCheapest * 1e6);
  std::printf(
      "  its own test sends 512 prompt tokens: at 1.98 USD/M, 100,000 calls a day are %.0f "
      "USD a year before the first answer token: does not add up\n",
      prompts);
  std::printf(
      "  45 GB for 10 B parameters: its code loads them in half precision, 2 bytes each = "
      "20 GB; 45 GB are 4 bytes each and 5 GB more: does not add up\n");
}

}  // namespace spillway::verbs
