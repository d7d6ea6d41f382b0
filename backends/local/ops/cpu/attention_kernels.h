// Attention of a few queries of one head over its pages: the inner loops of paged_attention.h.
//
// Pure functions on plain memory, any thread. By floats on any processor, which is what the other
// is tested against; by dot products of integers where the processor has them.
#pragma once

#include "backends/local/ops/cpu/paged_attention.h"

#include <cstddef>
#include <cstdint>

namespace spillway::local::ops {

void attend_by_floats(const Pages& pages, int head, const std::int32_t* table,
                      const ScoreRule& rule, const HeadQueries& rows, float* scores);
void attend_avx512_vnni(const Pages& pages, int head, const std::int32_t* table,
                        const ScoreRule& rule, const HeadQueries& rows, float* scores);

// Integers of a vector, the largest of them `most`, and the scale that makes them values again.
float to_integers(const float* x, int width, float most, std::int16_t* out);

inline const float* scales_of(const std::byte* page) {
  return reinterpret_cast<const float*>(page);
}
inline const std::int16_t* integers_of(const std::byte* page) {
  return reinterpret_cast<const std::int16_t*>(page + kPageTokens * sizeof(float));
}

}  // namespace spillway::local::ops
