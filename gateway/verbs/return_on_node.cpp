#include "gateway/verbs/return_on_node.h"

#include "gateway/account/calendar.h"
#include "gateway/account/usage.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace spillway::verbs {
namespace {

using account::in_usd;

constexpr double kDaysPerYear = 365.0;
constexpr double kMonths = 12.0;
constexpr double kHoursPerDay = 24.0;
constexpr double kHoursPerYear = kHoursPerDay * kDaysPerYear;

void add_running(const config::LocalTarget& target, NodeReturn& node) {
  const double hours = static_cast<double>(node.work.hours);
  node.worked_known = node.work.hourly > 0;
  if (!node.worked_known) {
    node.care = in_usd(node.work.booked);
    return;
  }
  const config::Machine& machine = target.node;
  node.worked = std::min(hours, in_usd(node.work.booked) / node.hourly);
  node.utilisation = hours > 0.0 ? node.worked / hours : 0.0;
  const double idle = hours - node.worked;
  node.energy = (node.worked * machine.watts + idle * machine.idle_watts) / 1e3;
  node.power = node.energy * in_usd(machine.per_kwh);
  node.care = hours * in_usd(target.cost_per_hour);
}

std::string decimal(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%.9f", number);
  return text;
}

// Its names and values; an empty value is not known, or for no number of months.
using Fields = std::vector<std::pair<std::string, std::string>>;

Fields fields_of(const NodeReturn& node) {
  const auto if_known = [&](double number) { return node.worked_known ? decimal(number) : ""; };
  return {{"price_usd", decimal(node.price)},
          {"hourly_usd", if_known(node.hourly)},
          {"hours", std::to_string(node.work.hours)},
          {"worked_hours", if_known(node.worked)},
          {"utilisation", if_known(node.utilisation)},
          {"energy_kwh", if_known(node.energy)},
          {"power_usd", if_known(node.power)},
          {"care_usd", decimal(node.care)},
          {"avoided_usd", decimal(node.avoided)},
          {"yearly_usd", decimal(node.yearly)},
          {"months", node.months ? decimal(*node.months) : ""}};
}

}  // namespace

NodeReturn return_on(const config::LocalTarget& target, const NodeWork& work) {
  NodeReturn node{.work = work,
                  .price = in_usd(target.node.price),
                  .hourly = in_usd(work.hourly),
                  .avoided = in_usd(work.avoided)};
  add_running(target, node);
  const double saved = node.avoided - node.power - node.care;
  if (work.hours > 0) node.yearly = saved / static_cast<double>(work.hours) * kHoursPerYear;
  if (node.yearly > 0.0) node.months = node.price / node.yearly * kMonths;
  return node;
}

void print_json(const NodeReturn& node) {
  std::string object;
  for (const auto& [name, value] : fields_of(node))
    object += (object.empty() ? "\"" : ",\"") + name + "\":" + (value.empty() ? "null" : value);
  std::printf("{\"return_on_node\":{%s}}\n", object.c_str());
}

void print_csv(const NodeReturn& node) {
  std::string header, row;
  for (const auto& [name, value] : fields_of(node)) {
    header += (header.empty() ? "" : ",") + name;
    row += (row.empty() ? "" : ",") + value;
  }
  std::printf("\n%s\n%s\n", header.c_str(), row.c_str());
}

void print_text(const NodeReturn& node) {
  const double hours = static_cast<double>(node.work.hours);
  std::printf("\nReturn on the node\n");
  std::printf("  price of the node        %12.2f USD\n", node.price);
  if (node.worked_known) {
    std::printf("  an hour of full work     %12.6f USD (cost_per_hour, node.price, power)\n",
                node.hourly);
    std::printf("  worked                   %12.2f hours of %.1f: utilisation %.1f %%\n",
                node.worked, hours, 100.0 * node.utilisation);
    std::printf("  power                    %12.2f USD (%.1f kWh)\n", node.power, node.energy);
    std::printf("  cost_per_hour            %12.2f USD, idle hours too\n", node.care);
  } else {
    std::printf(
        "  its running cost         %12.2f USD as booked: no configuration tells of idle "
        "hours and power\n",
        node.care);
  }
  std::printf("  avoided                  %12.2f USD in %.1f days\n", node.avoided,
              hours / kHoursPerDay);
  if (node.work.hours > 0)
    std::printf(
        "                                        from %s on, the first day in the book; days "
        "without requests count\n",
        account::date_of(node.work.first_hour * account::kMillisecondsPerHour).c_str());
  std::printf("  saved in a year          %12.2f USD at this pace\n", node.yearly);
  if (node.months)
    std::printf("  pays for itself in       %12.1f months\n", *node.months);
  else
    std::printf("  pays for itself          never, at this pace\n");
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
