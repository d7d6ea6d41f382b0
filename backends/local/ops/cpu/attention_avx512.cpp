#include "backends/local/ops/cpu/attention_kernels.h"
#include "backends/local/ops/cpu/softmax.h"

#include <algorithm>
#include <cstring>
#include <immintrin.h>

// See tile_avx512.cpp for why functions carry their instruction set.
#define SPILLWAY_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

namespace spillway::local::ops {

namespace {

// Sums of integers must stay below 2³¹. Scores: four products of a query's and a key's. Values: 16
// tokens' weights add up to no more than kWeightSum and what rounding adds.
constexpr float kQueryMost = 16383.0f;
constexpr float kWeightMost = 32767.0f;
constexpr float kWeightSum = 65520.0f;
constexpr float kUnitLeast =
    1e-30f;  // Below, a page's weights are nothing, and 1 / unit no number.
constexpr int kScoreColumns = 4;
constexpr int kParts = 2;  // Lines of 16 columns for which values are summed at once.

// A page's 16 scores become as many weights of 16 bits, and behind them, in place of this one of
// the scores, what makes them weights again.
constexpr int kScaleAt = kPageTokens / 2;

// A pair of integers of 16 bits for all lanes.
SPILLWAY_AVX512 inline __m512i broadcast(const void* at) {
  int pair;
  std::memcpy(&pair, at, sizeof pair);
  return _mm512_set1_epi32(pair);
}

template <int kCount>
SPILLWAY_AVX512 inline void score_pages(const Pages& pages, int head, const std::int32_t* table,
                                        int page_count, float scale, const HeadQueries& rows,
                                        float* scores) {
  alignas(64) std::int16_t queries[kCount][kHeadWidthMax];
  float scales[kCount];
  for (int q = 0; q < kCount; ++q)
    scales[q] = scale * to_integers(rows.queries[q], pages.head_width, kQueryMost, queries[q]);
  for (int page = 0; page < page_count; ++page) {
    const std::byte* const memory = pages.key_page(table[page], head);
    const std::int16_t* const keys = integers_of(memory);
    __m512 total[kCount];
    for (int q = 0; q < kCount; ++q) total[q] = _mm512_setzero_ps();
    for (int d = 0; d < pages.head_width; d += kScoreColumns) {
      const __m512i first = _mm512_loadu_si512(keys + d * kPageTokens);
      const __m512i second = _mm512_loadu_si512(keys + (d + 2) * kPageTokens);
#pragma GCC unroll 6
      for (int q = 0; q < kCount; ++q) {
        const __m512i half = _mm512_madd_epi16(first, broadcast(queries[q] + d));
        const __m512i sum = _mm512_dpwssd_epi32(half, second, broadcast(queries[q] + d + 2));
        total[q] = _mm512_add_ps(total[q], _mm512_cvtepi32_ps(sum));
      }
    }
    const __m512 key_scales = _mm512_loadu_ps(scales_of(memory));
    for (int q = 0; q < kCount; ++q) {
      const __m512 factor = _mm512_mul_ps(key_scales, _mm512_set1_ps(scales[q]));
      float* const to = scores + (q * page_count + page) * kPageTokens;
      _mm512_storeu_ps(to, _mm512_mul_ps(total[q], factor));
    }
  }
}

// Weights of one query in place, times the scales of their values; what they stand for is `factor`
// times that.
SPILLWAY_AVX512 inline void round_weights(const Pages& pages, int head, const std::int32_t* table,
                                          int page_count, float factor, float* weights) {
  for (int page = 0; page < page_count; ++page, weights += kPageTokens) {
    const __m512 weight = _mm512_loadu_ps(weights);
    const __m512 value_scales = _mm512_loadu_ps(scales_of(pages.value_page(table[page], head)));
    // Scales of tokens that were never written may be anything.
    const __mmask16 counts = _mm512_cmp_ps_mask(weight, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 scaled = _mm512_maskz_mul_ps(counts, weight, value_scales);
    const float unit = std::max(_mm512_reduce_max_ps(scaled) * (1.0f / kWeightMost),
                                _mm512_reduce_add_ps(scaled) * (1.0f / kWeightSum));
    const float fine = unit > kUnitLeast ? 1.0f / unit : 0.0f;
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(scaled, _mm512_set1_ps(fine)));
    const __m256i integers = _mm512_cvtepi32_epi16(rounded);
    std::memcpy(weights, &integers, sizeof integers);
    weights[kScaleAt] = factor * unit;
  }
}

// outputs[query][d] = Σ weight · value, for 16 · kParts columns from `column` on.
template <int kCount>
SPILLWAY_AVX512 inline void weigh_values(const Pages& pages, int head, const std::int32_t* table,
                                         int page_count, int column, const float* weights,
                                         float* const* outputs) {
  __m512 total[kCount][kParts];
  for (int q = 0; q < kCount; ++q)
    for (int part = 0; part < kParts; ++part) total[q][part] = _mm512_setzero_ps();
  for (int page = 0; page < page_count; ++page) {
    const std::int16_t* values =
        integers_of(pages.value_page(table[page], head)) + 2 * std::ptrdiff_t{column};
    const float* mine[kCount];
    for (int q = 0; q < kCount; ++q) mine[q] = weights + (q * page_count + page) * kPageTokens;
    __m512i sum[kCount][kParts];
    for (int q = 0; q < kCount; ++q)
      for (int part = 0; part < kParts; ++part) sum[q][part] = _mm512_setzero_si512();
    for (int token = 0; token < kPageTokens; token += 2, values += 2 * pages.head_width) {
      __m512i value[kParts];
      for (int part = 0; part < kParts; ++part)
        value[part] = _mm512_loadu_si512(values + part * 2 * kLanes);
#pragma GCC unroll 6
      for (int q = 0; q < kCount; ++q) {
        const __m512i weight = broadcast(mine[q] + token / 2);
        for (int part = 0; part < kParts; ++part)
          sum[q][part] = _mm512_dpwssd_epi32(sum[q][part], value[part], weight);
      }
    }
    for (int q = 0; q < kCount; ++q) {
      const __m512 scale = _mm512_set1_ps(mine[q][kScaleAt]);
      for (int part = 0; part < kParts; ++part)
        total[q][part] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[q][part]), scale, total[q][part]);
    }
  }
  for (int q = 0; q < kCount; ++q)
    for (int part = 0; part < kParts; ++part)
      _mm512_storeu_ps(outputs[q] + column + part * kLanes, total[q][part]);
}

template <int kCount>
SPILLWAY_AVX512 void attend(const Pages& pages, int head, const std::int32_t* table,
                            const ScoreRule& rule, const HeadQueries& rows, float* scores) {
  const int context = *std::max_element(rows.positions, rows.positions + kCount) + 1;
  const int page_count = (context + kPageTokens - 1) / kPageTokens;
  const int room = page_count * kPageTokens;
  score_pages<kCount>(pages, head, table, page_count, rule.scale, rows, scores);
  for (int q = 0; q < kCount; ++q) {
    const float factor = soften(scores + q * room, rule, rows.positions[q], room);
    round_weights(pages, head, table, page_count, factor, scores + q * room);
  }
  for (int column = 0; column < pages.head_width; column += kParts * kLanes)
    weigh_values<kCount>(pages, head, table, page_count, column, scores, rows.outputs);
}

}  // namespace

void attend_avx512_vnni(const Pages& pages, int head, const std::int32_t* table,
                        const ScoreRule& rule, const HeadQueries& rows, float* scores) {
  switch (rows.count) {
    case 1: return attend<1>(pages, head, table, rule, rows, scores);
    case 2: return attend<2>(pages, head, table, rule, rows, scores);
    case 3: return attend<3>(pages, head, table, rule, rows, scores);
    case 4: return attend<4>(pages, head, table, rule, rows, scores);
    case 5: return attend<5>(pages, head, table, rule, rows, scores);
    default: return attend<6>(pages, head, table, rule, rows, scores);
  }
}

}  // namespace spillway::local::ops
