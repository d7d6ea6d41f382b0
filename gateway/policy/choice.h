// What a plan comes to, to be held against what another policy makes of the same request. Pure
// values.
#pragma once

#include "backends/contract/error.h"
#include "gateway/policy/plan.h"

#include <string>

namespace spillway::policy {

struct Choice {
  std::string target;        // Who is asked first; "held": it waits; "refused": nobody is asked.
  config::NanoUsd cost = 0;  // Expected.
};

Choice choice_of(const Plan& plan);
Choice choice_of(const Result<Plan>& plan);

// Whether this one was expected to keep the promise when it was judged.
bool is_expected(const Plan& plan, const Candidate& candidate);

// Whether the first that is asked is expected to keep this promise; what is held has its time.
bool is_in_time(const Plan& plan, const config::Sla& promise);

// What the cheapest of the providers that were judged is expected to ask; 0: none was.
config::NanoUsd cheapest_price(const Plan& plan);

}  // namespace spillway::policy
