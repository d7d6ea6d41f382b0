#include "backends/local/ops/cpu/quantized_rows.h"

#include "backends/local/ops/cpu/lanes.h"
#include "backends/local/ops/cpu/vector_clones.h"

#include <cmath>
#include <vector>

namespace spillway::local::ops {

namespace {

constexpr float kLargest = 32767.0f;
static_assert(kGroup == 2 * kLanes);

// Integers of one row, pairs `stride` pairs apart.
SPILLWAY_VECTOR_CLONES
void quantize(const float* x, int groups, int stride, std::int16_t* values, float* scales,
              float* sums) {
  for (int group = 0; group < groups; ++group, x += kGroup) {
    Lanes low;
    Lanes high;
    load(low, x);
    load(high, x + kLanes);
    const float most = largest(larger(magnitude(low), magnitude(high)));
    const float inverse = most > 0.0f ? kLargest / most : 0.0f;
    low = rounded(low * inverse);
    high = rounded(high * inverse);
    IntLanes words;
    pair_up(words, low, high);
    std::int32_t pairs[kLanes];
    std::memcpy(pairs, &words, sizeof words);
    for (const std::int32_t pair : pairs) {
      std::memcpy(values, &pair, sizeof pair);
      values += 2 * stride;
    }
    const float scale = most / kLargest;
    scales[group * stride] = scale;
    sums[group * stride] = scale * sum(low + high);
  }
}

SPILLWAY_VECTOR_CLONES
void normalize(const float* x, const float* weight, int columns, float epsilon, float* out) {
  Lanes squares = {};
  for (int i = 0; i < columns; i += kLanes) {
    Lanes value;
    load(value, x + i);
    squares += value * value;
  }
  const float mean = sum(squares) / static_cast<float>(columns);
  const float factor = 1.0f / std::sqrt(mean + epsilon);
  for (int i = 0; i < columns; ++i) out[i] = x[i] * factor * weight[i];
}

}  // namespace

void QuantizedRows::resize(int rows, int columns) {
  rows_ = rows;
  columns_ = columns;
  const int tile_count = (rows + kTileRows - 1) / kTileRows;
  tile_rows_ = tile_count == 0 ? 0 : (rows + tile_count - 1) / tile_count;
  const auto values = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  const auto aligned = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
  const std::size_t integers = aligned(values * sizeof(std::int16_t));
  const std::size_t floats = aligned(values / kGroup * sizeof(float));
  if (values > room_) {
    memory_ = allocate_aligned(integers + 2 * floats);
    room_ = values;
  }
  values_ = reinterpret_cast<std::int16_t*>(memory_.get());
  scales_ = reinterpret_cast<float*>(memory_.get() + integers);
  sums_ = reinterpret_cast<float*>(memory_.get() + integers + floats);
}

void QuantizedRows::put(int row, const float* x) {
  const int tile = row / tile_rows_;
  const std::ptrdiff_t lane = row % tile_rows_;
  const std::ptrdiff_t floats = std::ptrdiff_t{tile} * tile_rows_ * groups() + lane;
  quantize(x, groups(), rows_of(tile),
           values_ + std::ptrdiff_t{tile} * tile_rows_ * columns_ + 2 * lane, scales_ + floats,
           sums_ + floats);
}

void QuantizedRows::put_normed(int row, const float* x, const float* weight, float epsilon) {
  thread_local std::vector<float> normed;
  normed.resize(static_cast<std::size_t>(columns_));
  normalize(x, weight, columns_, epsilon, normed.data());
  put(row, normed.data());
}

}  // namespace spillway::local::ops
