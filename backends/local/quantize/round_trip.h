// What is left of numbers that were kept in fewer bits: the same rules as the kernels', without a
// GPU, for what wants to know the loss.
//
// Pure, any thread.
#pragma once

#include "backends/local/quantize/precision.h"

#include <span>

namespace spillway::local::quantize {

// Of a group of weights in int4. Requires: there are some.
float int4_scale_of(std::span<const float> group);

// A row of a matrix of weights, in place.
void round_trip(Precision precision, std::span<float> row);

}  // namespace spillway::local::quantize
