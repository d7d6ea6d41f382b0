// Keys and values in pages of 16 tokens, and causal attention over them, on the CPU.
//
// Pure functions on plain memory; several threads may work on different rows. A page of one head
// holds 16 scales (fp32), then 16 × D integers of 16 bits: x = scale · q, finer than a half float.
// They lie as load_pairs (lanes.h) wants them. Keys: for each pair of dimensions, the 16 tokens'
// pairs, so that sixteen scores are made at once. Values: for each pair of tokens, the columns'
// pairs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace spillway::local::ops {

inline constexpr int kPageTokens = 16;

inline constexpr int kHeadWidthMax = 512;

// Queries that share one pass over the pages.
inline constexpr int kQueriesAtOnce = 6;

inline std::size_t page_bytes(int head_width) {
  return kPageTokens *
         (sizeof(float) + static_cast<std::size_t>(head_width) * sizeof(std::int16_t));
}

// One layer's pages: page p of head h begins at (p · kv_heads + h) · page_bytes.
struct Pages {
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  int kv_heads = 0;
  int head_width = 0;  // A multiple of 32, at most kHeadWidthMax.

  std::byte* key_page(std::int32_t page, int head) const { return keys + offset(page, head); }
  std::byte* value_page(std::int32_t page, int head) const { return values + offset(page, head); }

 private:
  std::size_t offset(std::int32_t page, int head) const {
    const auto index = static_cast<std::size_t>(page) * static_cast<std::size_t>(kv_heads);
    return (index + static_cast<std::size_t>(head)) * page_bytes(head_width);
  }
};

// Rotates a head in place: pairs (i, i + D/2) by cos_sin[D/2, 2].
void rotate(float* head, int head_width, const float* cos_sin);

// Writes one token's key and value of a head to its place in the pages. slot = page · 16 + offset.
void append(const Pages& pages, std::int32_t slot, int head, const float* key, const float* value);

// Queries of one kv head: `count` of them, each `head_width` floats; query i stands at position
// positions[i] and sees keys 0 … positions[i] of the sequence whose pages `table` lists. Writes
// out[i].
struct HeadQueries {
  int count = 0;
  const float* const* queries = nullptr;
  float* const* outputs = nullptr;
  const int* positions = nullptr;
};

// What becomes of a score, and which are left out.
struct ScoreRule {
  float scale = 1.0f;
  int window = 0;    // A query sees so many positions, its own included; 0: all up to its own.
  float cap = 0.0f;  // cap · tanh(scaled score / cap); 0: scores are as they are.
};

// Of kQueriesAtOnce at most; `scores` has room for a page more than each sees.
using AttentionKernel = void (*)(const Pages& pages, int head, const std::int32_t* table,
                                 const ScoreRule& rule, const HeadQueries& rows, float* scores);

// The fastest that this processor runs (attention_kernels.h).
AttentionKernel choose_attention_kernel();

// `scores` is room to work in, kept by the thread.
void attend_head(AttentionKernel kernel, const Pages& pages, int head, const std::int32_t* table,
                 const ScoreRule& rule, const HeadQueries& rows, std::vector<float>& scores);

}  // namespace spillway::local::ops
