// Quantiles of a stream that forgets: a histogram with logarithmic buckets (4 % wide, so a quantile
// is within 2 %) over 0.1 ms to 1,000 s whose observations lose half of their weight every
// half-life. Fixed size, no allocation; adding is O(1). Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"

#include <array>
#include <chrono>

namespace spillway::policy {

class Quantiles {
 public:
  explicit Quantiles(std::chrono::seconds half_life = std::chrono::seconds(120))
      : half_life_(half_life) {}

  // Counts `value` (seconds, or any positive number in 0.0001..1000; others go to the nearest end).
  void add(double value, TimePoint now, double weight = 1.0);

  // The value below which a share `q` (0..1) of the remembered weight lies; 0 while nothing was
  // added.
  double quantile(double q) const;

 private:
  static constexpr int kBuckets = 412;  // ln(1000 / 0.0001) ÷ ln(1.04)

  void rebase(TimePoint now);

  std::chrono::seconds half_life_;
  // Newer observations are added with a growing weight instead of shrinking all older ones.
  std::array<float, kBuckets> weight_{};
  double total_ = 0.0;
  TimePoint base_{};
};

}  // namespace spillway::policy
