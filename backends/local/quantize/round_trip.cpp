#include "backends/local/quantize/round_trip.h"

#include "backends/local/quantize/integer_codes.h"

#include <algorithm>
#include <cmath>

namespace spillway::local::quantize {

namespace {

constexpr float kE4m3Max = 448.0f;

float largest_of(std::span<const float> row) {
  float largest = 0.0f;
  for (const float value : row) largest = std::max(largest, std::abs(value));
  return largest;
}

// The nearest number of E4M3: three bits of mantissa, exponents from -6. Requires: |x| ≤ 448.
float rounded_to_e4m3(float x) {
  if (x == 0.0f) return x;
  const int exponent = std::max(std::ilogb(x), -6);
  return std::scalbn(rounded(std::scalbn(x, 3 - exponent)), exponent - 3);
}

void through_e4m3(std::span<float> row) {
  const float largest = largest_of(row);
  if (largest == 0.0f) return;
  const float inverse = kE4m3Max / largest;
  const float scale = largest / kE4m3Max;
  for (float& value : row) value = rounded_to_e4m3(value * inverse) * scale;
}

void through_int8(std::span<float> row) {
  const float scale = int8_scale(largest_of(row));
  for (float& value : row) value = static_cast<float>(int8_code(value, scale)) * scale;
}

void through_int4(std::span<float> group) {
  const float scale = int4_scale_of(group);
  for (float& value : group) {
    value = static_cast<float>(int4_code(value, scale) - kInt4Zero) * scale;
  }
}

}  // namespace

float int4_scale_of(std::span<const float> group) {
  const auto [smallest, largest] = std::minmax_element(group.begin(), group.end());
  for (int grid = 0; grid < kInt4Grids; ++grid) {
    const float scale = int4_grid(*smallest, *largest, grid);
    const auto is_on = [scale](float value) { return int4_distance(value, scale) <= kOnInt4Grid; };
    if (std::all_of(group.begin(), group.end(), is_on)) return scale;
  }
  return int4_scale(*smallest, *largest);
}

void round_trip(Precision precision, std::span<float> row) {
  if (precision == Precision::fp32 || row.empty()) return;
  for (float& value : row) value = rounded_to_bf16(value);  // What the others are made from.
  switch (precision) {
    case Precision::fp8: through_e4m3(row); return;
    case Precision::int8: through_int8(row); return;
    case Precision::int4:
      for (std::size_t from = 0; from < row.size(); from += kInt4Group) {
        through_int4(row.subspan(from, std::min<std::size_t>(kInt4Group, row.size() - from)));
      }
      return;
    default: return;
  }
}

}  // namespace spillway::local::quantize
