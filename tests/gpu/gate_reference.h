// What gates make of a number, in double precision.
#pragma once

#include "backends/local/kernels/kernels.h"

#include <cmath>

namespace spillway::gpu_test {

inline double gated(double x, int gate) {
  if (gate == kernels::kSilu) return x / (1.0 + std::exp(-x));
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

}  // namespace spillway::gpu_test
