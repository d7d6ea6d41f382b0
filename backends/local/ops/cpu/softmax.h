// From scores to weights, sixteen at once: what the kernels of attention share.
//
// For functions marked SPILLWAY_VECTOR_CLONES, or compiled for one instruction set (lanes.h).
#pragma once

#include "backends/local/ops/cpu/lanes.h"
#include "backends/local/ops/cpu/paged_attention.h"

#include <algorithm>
#include <cmath>

namespace spillway::local::ops {

// Turns a row of `room` scores, of which those from `first` up to `seen` count, into e^(score −
// highest); returns one by their sum.
SPILLWAY_INLINE float soften(float* scores, int first, int seen, int room) {
  for (int i = 0; i < first; ++i) scores[i] = -INFINITY;
  for (int i = seen; i < room; ++i) scores[i] = -INFINITY;
  Lanes most;
  load(most, scores);
  for (int i = kLanes; i < room; i += kLanes) {
    Lanes next;
    load(next, scores + i);
    most = larger(next, most);
  }
  const float peak = largest(most);
  Lanes totals = {};
  for (int i = 0; i < room; i += kLanes) {
    Lanes weight;
    load(weight, scores + i);
    weight = weight - peak;
    exponential(weight);
    totals += weight;
    store(scores + i, weight);
  }
  return 1.0f / sum(totals);
}

// The same of the scores of a query at `position`, as the rule says.
SPILLWAY_INLINE float soften(float* scores, const ScoreRule& rule, int position, int room) {
  const int seen = position + 1;
  for (int i = 0; i < seen && rule.cap > 0.0f; ++i)
    scores[i] = rule.cap * std::tanh(scores[i] / rule.cap);
  const int first = rule.window > 0 ? std::max(0, seen - rule.window) : 0;
  return soften(scores, first, seen, room);
}

}  // namespace spillway::local::ops
