// How many bytes a token of somebody's answers has been of late: what is known of an answer that
// broke off is its bytes, and tokens are what it costs. Pure values.
#pragma once

#include <algorithm>
#include <cstddef>

namespace spillway::policy {

inline constexpr double kBytesPerToken = 4.0;  // Until more is known.

class Density {
 public:
  // A whole answer of so many bytes was told to be so many tokens.
  void observe(std::size_t bytes, int tokens) {
    bytes_ = kKept * bytes_ + static_cast<double>(bytes);
    tokens_ = kKept * tokens_ + std::max(0, tokens);
  }

  double bytes_per_token() const { return std::clamp(bytes_ / tokens_, kLeast, kMost); }

 private:
  static constexpr double kKept = 0.98;  // Of the sums, by each answer.
  static constexpr double kTokensBefore = 200.0;
  static constexpr double kLeast = 1.0, kMost = 12.0;

  double tokens_ = kTokensBefore;
  double bytes_ = kTokensBefore * kBytesPerToken;
};

}  // namespace spillway::policy
