// Which lines of a batch leave through a provider's batches API, when, and to whom. Pure.
//
// What the engine gets done by itself costs nothing, so a batch is handed over as late as it may
// be: when the provider's window and a reserve behind it only just fit before the deadline. What
// the engine is not expected to get to by then leaves, in one go and at the batch price. Before
// that, too early: the engine's time would be idle. After that, too late: only single requests are
// quick enough.
#pragma once

#include "config/settings.h"
#include "gateway/policy/plan.h"

#include <cstdint>
#include <optional>

namespace spillway::policy {

// A batch at a moment. Times in seconds.
struct BatchProspect {
  double time_left = 0.0;                // Until its deadline,
  double lifetime = 0.0;                 // …of so much in all.
  double window = 0.0;                   // In which the provider answers.
  std::int64_t lines = 0;                // That nobody has begun.
  std::int64_t lines_min = 1;            // Fewer are not handed over.
  int at_once = 1;                       // Lines that are asked one by one, at the same time.
  double engine_lines_per_second = 0.0;  // Expected; 0: the engine serves none of them.
};

struct HandoverChoice {
  std::int64_t lines = 0;         // To be handed over now.
  std::optional<double> look_in;  // Again, in so many seconds; empty: it is too late for ever.
};

HandoverChoice choose_handover(const BatchProspect& batch);

// What is kept behind a provider's window: time to ask for that many lines one by one, should the
// provider answer none of them.
double handover_reserve(std::int64_t lines, int at_once, double window);

struct HandoverOffer {
  Candidate candidate;
  config::NanoUsd cost = 0;  // Expected, of this request in a batch.
};

// Of the providers that the plan would ask, the cheapest in batches, if none is cheaper at once.
// Requires: the plan is of a request that has to leave now.
std::optional<HandoverOffer> best_handover(const Plan& plan, int prompt_tokens);

}  // namespace spillway::policy
