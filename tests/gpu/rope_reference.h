// What is done to the heads of a fused projection before attention, in double precision.
#pragma once

#include "tests/gpu/paged_cache.h"

#include <cmath>
#include <vector>

namespace spillway::gpu_test {

struct RopeCase {
  AttentionShape shape;
  int rotary;
  bool interleaved;
  bool bias;
  bool norm;
};

inline constexpr int kPositions = 400;

inline std::vector<float> angle_table(int rotary) {
  std::vector<float> table;
  for (int position = 0; position < kPositions; ++position) {
    for (int pair = 0; pair < rotary / 2; ++pair) {
      const double angle = position * std::pow(10000.0, -2.0 * pair / rotary);
      table.push_back(static_cast<float>(std::cos(angle)));
      table.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

// One head, in place.
inline void rotate(std::vector<double>& head, const RopeCase& c, const std::vector<float>& angles,
                   int position) {
  const int half = c.rotary / 2;
  for (int pair = 0; pair < half; ++pair) {
    const int first = c.interleaved ? 2 * pair : pair;
    const int second = c.interleaved ? 2 * pair + 1 : pair + half;
    const double cosine = angles[(position * half + pair) * 2];
    const double sine = angles[(position * half + pair) * 2 + 1];
    const double a = head[first];
    const double b = head[second];
    head[first] = a * cosine - b * sine;
    head[second] = b * cosine + a * sine;
  }
}

inline void normalise(std::vector<double>& head, const std::vector<Bf16>& weight) {
  double squares = 0.0;
  for (const double value : head) squares += value * value;
  const double scale = 1.0 / std::sqrt(squares / double(head.size()) + 1e-6);
  for (std::size_t i = 0; i < head.size(); ++i) head[i] *= scale * weight[i];
}

struct RopeInputs {
  explicit RopeInputs(const RopeCase& c)
      : heads(c.shape.q_heads + 2 * c.shape.kv_heads),
        angles(angle_table(c.rotary)),
        bias(random_bf16(std::size_t(heads) * c.shape.width, 0.5f)),
        q_norm(random_bf16(c.shape.width, 0.2f, 1.0f)),
        k_norm(random_bf16(c.shape.width, 0.2f, 1.0f)) {}

  int heads;
  std::vector<float> angles;
  std::vector<Bf16> bias;
  std::vector<Bf16> q_norm;
  std::vector<Bf16> k_norm;
};

// What becomes of head `head` of a raw projection whose head begins at `from`.
inline std::vector<double> expected_head(const RopeCase& c, const RopeInputs& in, const Bf16* from,
                                         int head, int position) {
  std::vector<double> out(c.shape.width);
  for (int i = 0; i < c.shape.width; ++i) {
    out[i] = double(from[i]) + (c.bias ? double(in.bias[head * c.shape.width + i]) : 0.0);
  }
  if (head >= c.shape.q_heads + c.shape.kv_heads) return out;
  if (c.norm) normalise(out, head < c.shape.q_heads ? in.q_norm : in.k_norm);
  rotate(out, c, in.angles, position);
  return out;
}

}  // namespace spillway::gpu_test
