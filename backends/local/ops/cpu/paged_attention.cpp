#include "backends/local/ops/cpu/paged_attention.h"

#include "backends/local/ops/cpu/attention_kernels.h"
#include "backends/local/ops/cpu/lanes.h"
#include "backends/local/ops/cpu/softmax.h"
#include "backends/local/ops/cpu/vector_clones.h"

#include <algorithm>

namespace spillway::local::ops {

namespace {

constexpr float kInt16Max = 32767.0f;

// scores[query][16 · page + token] for all pages of the context, without masking.
template <int kCount>
SPILLWAY_INLINE void score_pages(const Pages& pages, int head, const std::int32_t* table,
                                 int page_count, float scale, const float* const* queries,
                                 float* scores, int stride) {
  for (int page = 0; page < page_count; ++page) {
    const std::byte* const memory = pages.key_page(table[page], head);
    const std::int16_t* const keys = integers_of(memory);
    Lanes sums[kCount] = {};
    for (int d = 0; d < pages.head_width; d += 2) {
      Lanes even;
      Lanes odd;
      load_pairs(even, odd, keys + d * kPageTokens);
      for (int q = 0; q < kCount; ++q) sums[q] += even * queries[q][d];
      for (int q = 0; q < kCount; ++q) sums[q] += odd * queries[q][d + 1];
    }
    Lanes scales;
    load(scales, scales_of(memory));
    for (int q = 0; q < kCount; ++q) {
      store(scores + q * stride + page * kPageTokens, sums[q] * (scales * scale));
    }
  }
}

// Multiplies weights by `factor` and by the scales of their values. Scales of tokens that were
// never written may be anything.
SPILLWAY_INLINE void scale_weights(const Pages& pages, int head, const std::int32_t* table,
                                   int page_count, float factor, float* weights) {
  for (int page = 0; page < page_count; ++page, weights += kPageTokens) {
    Lanes weight;
    Lanes scales;
    load(weight, weights);
    load(scales, scales_of(pages.value_page(table[page], head)));
    const Lanes scaled = weight * scales * factor;
    store(weights, weight > 0.0f ? scaled : Lanes{});
  }
}

// outputs[query][d] = Σ weight · value, for 16 · kParts columns from `column` on.
template <int kCount, int kParts>
SPILLWAY_INLINE void weigh_values(const Pages& pages, int head, const std::int32_t* table,
                                  int context, int column, const float* weights, int stride,
                                  float* const* outputs) {
  Lanes sums[kCount][kParts] = {};
  for (int page = 0; page * kPageTokens < context; ++page) {
    const std::byte* const memory = pages.value_page(table[page], head);
    const std::int16_t* const values = integers_of(memory) + 2 * column;
    const int tokens = std::min(kPageTokens, context - page * kPageTokens);
    for (int token = 0; token < tokens; token += 2) {
      const float* const weight = weights + page * kPageTokens + token;
      for (int part = 0; part < kParts; ++part) {
        Lanes even;
        Lanes odd;
        load_pairs(even, odd, values + token * pages.head_width + part * 2 * kLanes);
        for (int q = 0; q < kCount; ++q) sums[q][part] += even * weight[q * stride];
        for (int q = 0; q < kCount; ++q) sums[q][part] += odd * weight[q * stride + 1];
      }
    }
  }
  for (int q = 0; q < kCount; ++q) {
    for (int part = 0; part < kParts; ++part) {
      store(outputs[q] + column + part * kLanes, sums[q][part]);
    }
  }
}

template <int kCount>
SPILLWAY_INLINE void attend(const Pages& pages, int head, const std::int32_t* table,
                            const ScoreRule& rule, const HeadQueries& rows, float* scores) {
  const int context = *std::max_element(rows.positions, rows.positions + kCount) + 1;
  const int page_count = (context + kPageTokens - 1) / kPageTokens;
  const int room = page_count * kPageTokens;
  score_pages<kCount>(pages, head, table, page_count, rule.scale, rows.queries, scores, room);
  for (int q = 0; q < kCount; ++q) {
    float* const row = scores + q * room;
    const float factor = soften(row, rule, rows.positions[q], room);
    scale_weights(pages, head, table, page_count, factor, row);
  }
  int column = 0;
  for (; column + 4 * kLanes <= pages.head_width; column += 4 * kLanes) {
    weigh_values<kCount, 4>(pages, head, table, context, column, scores, room, rows.outputs);
  }
  for (; column < pages.head_width; column += 2 * kLanes) {
    weigh_values<kCount, 2>(pages, head, table, context, column, scores, room, rows.outputs);
  }
}

}  // namespace

SPILLWAY_VECTOR_CLONES
void attend_by_floats(const Pages& pages, int head, const std::int32_t* table,
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

SPILLWAY_VECTOR_CLONES
float to_integers(const float* x, int width, float most, std::int16_t* out) {
  Lanes widest = {};
  for (int i = 0; i < width; i += kLanes) {
    Lanes value;
    load(value, x + i);
    widest = larger(magnitude(value), widest);
  }
  const float peak = largest(widest);
  const float inverse = peak > 0.0f ? most / peak : 0.0f;
  for (int i = 0; i < width; i += kLanes) {
    Lanes value;
    load(value, x + i);
    store(out + i, rounded(value * inverse));
  }
  return peak / most;
}

SPILLWAY_VECTOR_CLONES
void rotate(float* head, int head_width, const float* cos_sin) {
  const int half = head_width / 2;
  for (int i = 0; i < half; ++i) {
    const float cos = cos_sin[2 * i];
    const float sin = cos_sin[2 * i + 1];
    const float first = head[i];
    const float second = head[i + half];
    head[i] = first * cos - second * sin;
    head[i + half] = second * cos + first * sin;
  }
}

void append(const Pages& pages, std::int32_t slot, int head, const float* key, const float* value) {
  const int token = slot % kPageTokens;
  std::byte* const key_page = pages.key_page(slot / kPageTokens, head);
  std::byte* const value_page = pages.value_page(slot / kPageTokens, head);
  const std::size_t scales = kPageTokens * sizeof(float);
  std::int16_t q[kHeadWidthMax];

  reinterpret_cast<float*>(key_page)[token] = to_integers(key, pages.head_width, kInt16Max, q);
  auto* const keys = reinterpret_cast<std::int16_t*>(key_page + scales) + 2 * token;
  for (int d = 0; d < pages.head_width; ++d) keys[d / 2 * 2 * kPageTokens + d % 2] = q[d];

  reinterpret_cast<float*>(value_page)[token] = to_integers(value, pages.head_width, kInt16Max, q);
  auto* const values = reinterpret_cast<std::int16_t*>(value_page + scales) +
                       token / 2 * 2 * pages.head_width + token % 2;
  for (int d = 0; d < pages.head_width; ++d) values[2 * d] = q[d];
}

AttentionKernel choose_attention_kernel() {
  __builtin_cpu_init();
  const bool has_vnni = __builtin_cpu_supports("avx512vnni") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return has_vnni ? attend_avx512_vnni : attend_by_floats;
}

void attend_head(AttentionKernel kernel, const Pages& pages, int head, const std::int32_t* table,
                 const ScoreRule& rule, const HeadQueries& rows, std::vector<float>& scores) {
  for (int first = 0; first < rows.count; first += kQueriesAtOnce) {
    const int count = std::min(kQueriesAtOnce, rows.count - first);
    const HeadQueries few{count, rows.queries + first, rows.outputs + first,
                          rows.positions + first};
    const int context = *std::max_element(few.positions, few.positions + count) + 1;
    const auto room = static_cast<std::size_t>(context + kPageTokens);
    if (scores.size() < room * kQueriesAtOnce) scores.resize(room * kQueriesAtOnce);
    kernel(pages, head, table, rule, few, scores.data());
  }
}

}  // namespace spillway::local::ops
