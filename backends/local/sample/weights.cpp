#include "backends/local/sample/weights.h"

#include "backends/local/ops/cpu/lanes.h"
#include "backends/local/ops/cpu/vector_clones.h"

#include <algorithm>
#include <limits>

namespace spillway::local {

namespace {

using ops::kLanes;
using ops::Lanes;

constexpr std::size_t kBlock = 16 * kLanes;  // Summed in fp32; blocks are summed in double.

SPILLWAY_VECTOR_CLONES
float highest_of(const float* values, std::size_t count) {
  Lanes most = Lanes{} - std::numeric_limits<float>::infinity();
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Lanes next;
    ops::load(next, values + i);
    most = next > most ? next : most;
  }
  float highest = ops::largest(most);
  for (; i < count; ++i) highest = std::max(highest, values[i]);
  return highest;
}

// Requires: room for a whole number of Lanes in both.
SPILLWAY_VECTOR_CLONES
void exponentials(const float* logits, std::size_t count, float highest, float inverse,
                  float* weights) {
  for (std::size_t i = 0; i < count; i += kLanes) {
    Lanes x;
    ops::load(x, logits + i);
    x = (x - highest) * inverse;
    ops::exponential(x);
    ops::store(weights + i, x);
  }
}

SPILLWAY_VECTOR_CLONES
float block_sum(const float* weights, std::size_t count) {
  Lanes sums = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Lanes next;
    ops::load(next, weights + i);
    sums += next;
  }
  float total = ops::sum(sums);
  for (; i < count; ++i) total += weights[i];
  return total;
}

// Of the block that begins there.
double sum_from(std::span<const float> weights, std::size_t at) {
  return block_sum(weights.data() + at, std::min(kBlock, weights.size() - at));
}

}  // namespace

void weigh(std::span<const float> logits, float temperature, std::vector<float>& weights) {
  const std::size_t whole = logits.size() / kLanes * kLanes;
  const std::size_t room = (logits.size() + kLanes - 1) / kLanes * kLanes;
  const float highest = highest_of(logits.data(), logits.size());
  weights.resize(room);
  exponentials(logits.data(), whole, highest, 1.0f / temperature, weights.data());
  if (whole == room) return;
  float rest[kLanes];
  std::fill_n(rest, kLanes, -std::numeric_limits<float>::infinity());
  std::copy(logits.begin() + static_cast<std::ptrdiff_t>(whole), logits.end(), rest);
  exponentials(rest, kLanes, highest, 1.0f / temperature, weights.data() + whole);
}

double sum_of(std::span<const float> weights) {
  double total = 0.0;
  for (std::size_t at = 0; at < weights.size(); at += kBlock) total += sum_from(weights, at);
  return total;
}

std::size_t draw_index(std::span<const float> weights, double share) {
  double left = share * sum_of(weights);
  std::size_t at = 0;
  std::size_t drawn = 0;
  for (; at < weights.size(); at += kBlock) {
    const double sum = sum_from(weights, at);
    if (left < sum) break;
    left -= sum;
  }
  // Rounding may leave a little after the last token: then the last one that can be drawn is.
  const std::size_t begin = std::min(at, (weights.size() - 1) / kBlock * kBlock);
  for (std::size_t i = begin; i < weights.size(); ++i) {
    if (weights[i] == 0.0f) continue;
    drawn = i;
    if (left < weights[i]) break;
    left -= weights[i];
  }
  return drawn;
}

std::size_t largest_index(std::span<const float> values) {
  const float highest = highest_of(values.data(), values.size());
  const auto first = std::find(values.begin(), values.end(), highest);
  return static_cast<std::size_t>(first - values.begin());
}

}  // namespace spillway::local
