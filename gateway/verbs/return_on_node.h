// Whether a machine of one's own pays: from what the ledger measured, and the arithmetic of the
// article that Spillway started from, printed step by step.
#pragma once

#include "config/settings.h"

namespace spillway::verbs {

// A node at `price` avoided so much in so many days, at what it cost to run.
void print_return(config::NanoUsd price, config::NanoUsd avoided, config::NanoUsd running,
                  double days);

// $15,000, 100,000 calls a day, $28,000 a year, about 8 months: does it add up?
void print_article();

}  // namespace spillway::verbs
