// From a row of logits to weights in proportion to probabilities, for the whole vocabulary at once.
//
// Pure functions, any thread; the one part of sampling that is long enough to be vectorised.
#pragma once

#include <span>
#include <vector>

namespace spillway::local {

// weights[i] = e^((logits[i] - highest) / temperature), so the likeliest token weighs 1; to 2 in
// the last place, and 0 below e^-87. Room of `weights` beyond the vocabulary is 0. Requires:
// temperature > 0.
void weigh(std::span<const float> logits, float temperature, std::vector<float>& weights);

// Of all of them; in double, block by block.
double sum_of(std::span<const float> weights);

// The index at which the running sum of weights passes `share` of their total, for share in [0, 1):
// a token drawn with its probability if `share` is uniform.
std::size_t draw_index(std::span<const float> weights, double share);

// The first index of the largest value.
std::size_t largest_index(std::span<const float> values);

}  // namespace spillway::local
