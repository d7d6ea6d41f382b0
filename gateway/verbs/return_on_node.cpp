#include "gateway/verbs/return_on_node.h"

#include <cstdio>

namespace spillway::verbs {
namespace {

constexpr double kNano = 1e9;
constexpr double kDaysPerYear = 365.0;
constexpr double kMonths = 12.0;
constexpr double kHoursPerYear = 24.0 * kDaysPerYear;

}  // namespace

void print_return(config::NanoUsd price, config::NanoUsd avoided, config::NanoUsd running,
                  double days) {
  const double node = static_cast<double>(price) / kNano;
  const double saved = static_cast<double>(avoided - running) / kNano;
  const double yearly = days > 0.0 ? saved / days * kDaysPerYear : 0.0;
  std::printf("\nReturn on the node\n");
  std::printf("  price of the node        %12.2f USD\n", node);
  std::printf("  avoided                  %12.2f USD in %.1f days\n",
              static_cast<double>(avoided) / kNano, days);
  std::printf("  its running cost         %12.2f USD (cost_per_hour, where it worked)\n",
              static_cast<double>(running) / kNano);
  std::printf("  saved in a year          %12.2f USD at this pace\n", yearly);
  if (yearly > 0.0) {
    std::printf("  pays for itself in       %12.1f months\n", node / yearly * kMonths);
  } else {
    std::printf("  pays for itself          never, at this pace\n");
  }
  std::printf("  (cost_per_hour should hold power and care alone here: the price stands above.)\n");
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
