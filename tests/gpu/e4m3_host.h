// E4M3 on the host, for tests: four bits of exponent, three of mantissa, no infinity.
#pragma once

#include "tests/gpu/device_array.h"

namespace spillway::gpu_test {

inline double from_e4m3(std::uint8_t byte) {
  const int exponent = byte >> 3 & 15;
  const double mantissa = (byte & 7) / 8.0;
  const double size =
      exponent == 0 ? std::ldexp(mantissa, -6) : std::ldexp(1.0 + mantissa, exponent - 7);
  return byte >> 7 != 0 ? -size : size;
}

// Any but NaN.
inline std::vector<std::uint8_t> random_e4m3(std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) {
    do byte = static_cast<std::uint8_t>(random_int(0, 255));
    while ((byte & 0x7f) == 0x7f);
  }
  return bytes;
}

inline std::vector<float> random_scales(std::size_t count, float size) {
  std::uniform_real_distribution<float> between(0.5f * size, 2.0f * size);
  std::vector<float> scales(count);
  for (float& scale : scales) scale = between(generator());
  return scales;
}

}  // namespace spillway::gpu_test
