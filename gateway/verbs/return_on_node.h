// Whether a machine of one's own pays: from what the ledger measured, and the arithmetic of the
// article that Spillway started from, printed step by step.
#pragma once

#include "config/settings.h"

#include <cstdint>
#include <optional>

namespace spillway::verbs {

// What the book has of a period in which the node was there. It begins with the first day that has
// entries and ends with the hour that has begun, days and hours without requests included.
struct NodeWork {
  config::NanoUsd avoided = 0;  // What providers would have asked for what it served.
  config::NanoUsd booked = 0;   // For what it served, at…
  config::NanoUsd hourly = 0;   // …this for an hour of full work; 0: not known.
  std::int64_t first_hour = 0;  // Since 1970.
  std::int64_t hours = 0;       // 0: the book has nothing.
};

// Amounts in USD.
struct NodeReturn {
  NodeWork work;
  double price = 0.0;
  double hourly = 0.0;
  bool worked_known = false;  // If not, `care` is what was booked, and what is below it is 0.
  double care = 0.0;          // `cost_per_hour` of all hours.
  double worked = 0.0;        // Hours.
  double utilisation = 0.0;   // Share of the hours.
  double energy = 0.0;        // Kilowatt-hours.
  double power = 0.0;         // What they cost.
  double avoided = 0.0;
  double yearly = 0.0;           // Saved in a year at this pace.
  std::optional<double> months;  // Until it is paid for; nothing: never.
};

// When `target`'s node, at `target.node.price`, is paid for at that pace. It ran all the time: the
// hours that it worked are those that are booked, the others are idle. Where it is not known what
// an hour was booked at, what is booked is what it cost.
NodeReturn return_on(const config::LocalTarget& target, const NodeWork& work);

void print_text(const NodeReturn& node);
void print_json(const NodeReturn& node);  // One line: {"return_on_node": {…}}
void print_csv(const NodeReturn& node);   // An empty line, a header, a row.

// $15,000, 100,000 calls a day, $28,000 a year, about 8 months: does it add up?
void print_article();

}  // namespace spillway::verbs
