#include "backends/local/ops/cpu/paged_attention.h"

#include "backends/local/ops/cpu/lanes.h"
#include "backends/local/ops/cpu/vector_clones.h"

#include <algorithm>
#include <cmath>

namespace spillway::local::ops {

namespace {

constexpr float kInt16Max = 32767.0f;

const float* scales_of(const std::byte* page) { return reinterpret_cast<const float*>(page); }
const std::int16_t* integers_of(const std::byte* page) {
  return reinterpret_cast<const std::int16_t*>(page + kPageTokens * sizeof(float));
}

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

// Turns a row of `room` scores, of which those from `first` up to `seen` count, into e^(score −
// highest); returns one by their sum.
SPILLWAY_INLINE float soften(float* scores, int first, int seen, int room) {
  for (int i = 0; i < first; ++i) scores[i] = -INFINITY;
  for (int i = seen; i < room; ++i) scores[i] = -INFINITY;
  Lanes most;
  load(most, scores);
  for (int i = kLanes; i < room; i += kLanes) {
    Lanes next;
    load(next, scores + i);
    most = next > most ? next : most;
  }
  const float peak = largest(most);
  Lanes totals = {};
  for (int i = 0; i < room; i += kLanes) {
    Lanes weight;
    load(weight, scores + i);
    weight = weight - peak;
    exponential(weight);
    totals += weight;
    store(scores + i, weight);
  }
  return 1.0f / sum(totals);
}

// Multiplies weights by `factor` and by the scales of their values.
SPILLWAY_INLINE void scale_weights(const Pages& pages, int head, const std::int32_t* table,
                                   int page_count, float factor, float* weights) {
  for (int page = 0; page < page_count; ++page, weights += kPageTokens) {
    Lanes weight;
    Lanes scales;
    load(weight, weights);
    load(scales, scales_of(pages.value_page(table[page], head)));
    store(weights, weight * scales * factor);
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
    const std::int16_t* const values = integers_of(memory) + column;
    // What lies behind the context was never written: it may be anything.
    const int tokens = std::min(kPageTokens, context - page * kPageTokens);
    for (int token = 0; token < tokens; ++token) {
      const float* const weight = weights + page * kPageTokens + token;
      Lanes value[kParts];
      for (int part = 0; part < kParts; part += 2) {
        const int at = token * pages.head_width + part * kLanes;
        load_pairs(value[part], value[part + 1], values + at);
      }
      for (int q = 0; q < kCount; ++q) {
        const float factor = weight[q * stride];
        for (int part = 0; part < kParts; ++part) sums[q][part] += value[part] * factor;
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
    const int seen = rows.positions[q] + 1;
    for (int i = 0; i < seen && rule.cap > 0.0f; ++i)
      row[i] = rule.cap * std::tanh(row[i] / rule.cap);
    const int first = rule.window > 0 ? std::max(0, seen - rule.window) : 0;
    const float factor = soften(row, first, seen, room);
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

SPILLWAY_VECTOR_CLONES
void attend_few(const Pages& pages, int head, const std::int32_t* table, const ScoreRule& rule,
                const HeadQueries& rows, float* scores) {
  switch (rows.count) {
    case 1: return attend<1>(pages, head, table, rule, rows, scores);
    case 2: return attend<2>(pages, head, table, rule, rows, scores);
    case 3: return attend<3>(pages, head, table, rule, rows, scores);
    case 4: return attend<4>(pages, head, table, rule, rows, scores);
    case 5: return attend<5>(pages, head, table, rule, rows, scores);
    default: return attend<6>(pages, head, table, rule, rows, scores);
  }
}

// Integers of a vector, and the scale that makes them values again.
SPILLWAY_VECTOR_CLONES
float to_integers(const float* x, int width, std::int16_t* out) {
  Lanes most = {};
  for (int i = 0; i < width; i += kLanes) {
    Lanes value;
    load(value, x + i);
    value = magnitude(value);
    most = value > most ? value : most;
  }
  const float peak = largest(most);
  const float inverse = peak > 0.0f ? kInt16Max / peak : 0.0f;
  for (int i = 0; i < width; i += kLanes) {
    Lanes value;
    load(value, x + i);
    store(out + i, rounded(value * inverse));
  }
  return peak / kInt16Max;
}

}  // namespace

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

  reinterpret_cast<float*>(key_page)[token] = to_integers(key, pages.head_width, q);
  auto* const keys = reinterpret_cast<std::int16_t*>(key_page + scales) + 2 * token;
  for (int d = 0; d < pages.head_width; ++d) keys[d / 2 * 2 * kPageTokens + d % 2] = q[d];

  reinterpret_cast<float*>(value_page)[token] = to_integers(value, pages.head_width, q);
  auto* const values =
      reinterpret_cast<std::int16_t*>(value_page + scales) + token * pages.head_width;
  for (int d = 0; d < pages.head_width; ++d) {
    values[d / 32 * 32 + d % kLanes * 2 + d % 32 / kLanes] = q[d];
  }
}

void attend_head(const Pages& pages, int head, const std::int32_t* table, const ScoreRule& rule,
                 const HeadQueries& rows, std::vector<float>& scores) {
  for (int first = 0; first < rows.count; first += kQueriesAtOnce) {
    const int count = std::min(kQueriesAtOnce, rows.count - first);
    const HeadQueries few{count, rows.queries + first, rows.outputs + first,
                          rows.positions + first};
    const int context = *std::max_element(few.positions, few.positions + count) + 1;
    const auto room = static_cast<std::size_t>(context + kPageTokens);
    if (scores.size() < room * kQueriesAtOnce) scores.resize(room * kQueriesAtOnce);
    attend_few(pages, head, table, rule, few, scores.data());
  }
}

}  // namespace spillway::local::ops
