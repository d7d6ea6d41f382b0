// Whether a machine of one's own pays: from what the ledger measured, and the arithmetic of the
// article that Spillway started from, printed step by step.
#pragma once

#include "config/settings.h"

namespace spillway::verbs {

// What the book has of a period in which the node was there.
struct NodeWork {
  config::NanoUsd avoided = 0;  // What providers would have asked for what it served.
  config::NanoUsd booked = 0;   // For what it served, at…
  config::NanoUsd hourly = 0;   // …this for an hour of full work; 0: not known.
  double hours = 0.0;
};

// When `target`'s node, at `target.node.price`, is paid for at that pace. It ran all the time: the
// hours that it worked are those that are booked, the others are idle. Where it is not known what
// an hour was booked at, what is booked is what it cost.
void print_return(const config::LocalTarget& target, const NodeWork& work);

// $15,000, 100,000 calls a day, $28,000 a year, about 8 months: does it add up?
void print_article();

}  // namespace spillway::verbs
