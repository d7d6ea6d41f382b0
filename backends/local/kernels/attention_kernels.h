// Attention of heads that have keys and values of their own, as kernels.h says of all kernels.
//
// KV pages of one layer: keys and values each [pages, kv_heads, kPageTokens, head_width], bf16, or
// E4M3 with `key_scales` and `value_scales`, one for each head of each token: fp32 [pages,
// kv_heads, kPageTokens]. Position p of the sequence with page table row b lies in page
// page_table[b · page_stride + p / kPageTokens].
#pragma once

#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

// In one pass over the fused projection: bias, RMS norm of each q and k head (Qwen3), rotation of
// the first `rotary_width` dimensions, and the append of k and v to their page. q is rewritten in
// place; k and v of `qkv` are left as they were. Rows with a negative position are padding:
// untouched. Requires: head_width 64, 128 or 256, rotary_width even and ≤ head_width.
struct RopeAppend {
  void* qkv;           // bf16 [rows, (q_heads + 2·kv_heads) · head_width]: q, then k, then v
  const void* bias;    // bf16, one row of qkv, or null
  const void* q_norm;  // bf16 [head_width] or null
  const void* k_norm;
  const float*
      cos_sin;  // [positions, rotary_width / 2, 2]: any scaling (llama3, yarn) is already in it
  const std::int32_t* positions;  // [rows]
  const std::int32_t*
      row_sequence;  // [rows] which page table row; null: row r uses page table row r
  const std::int32_t* page_table;
  void* keys;
  void* values;
  int rows;
  int page_stride;
  int q_heads;
  int kv_heads;
  int head_width;
  int rotary_width;
  int interleaved;  // 0: pairs (i, i + rotary_width/2); 1: pairs (2i, 2i + 1)
  float norm_epsilon;
  float* key_scales;  // Both or none. Requires then: interleaved 0 and the whole width rotated.
  float* value_scales;
};
extern "C" int spillway_rope_append(const RopeAppend* args, Stream stream);

// Attention of one query token a sequence over its pages, flash-decoding: the keys of a sequence
// are dealt to `splits` blocks, which merge their results, always in the same order. Row r sees
// keys 0 … positions[r]; a negative position is padding and yields zeros. With `cos_sin`, row r of
// q is a raw fused projection (q, k, v): the kernel does all that spillway_rope_append does for the
// row (pairs (i, i + head_width/2), the whole width rotated) and appends its k and v before it
// attends; q is not rewritten. Without, q is rotated already and the pages hold the row's own key.
// With `beside_earlier`, it does not wait for the kernel enqueued just before it, which must be
// spillway_prefill_attention, only for what that had to wait for: both then run at once.
// Requires: head_width 64, 128 or 256, q_heads % kv_heads == 0, splits 1, 2, 4, 8 or 16.
struct DecodeAttention {
  void* out;      // bf16 [rows, q_heads, head_width]
  const void* q;  // bf16; row r begins at q + r · q_stride
  std::int64_t q_stride;
  void* keys;
  void* values;
  const std::int32_t* page_table;
  const std::int32_t* positions;
  const float*
      cos_sin;       // [positions, head_width / 2, 2] or null, and then the next three do not count
  const void* bias;  // As in RopeAppend; or null.
  const void* q_norm;
  const void* k_norm;
  int page_stride;
  int rows;
  int q_heads;
  int kv_heads;
  int head_width;
  int splits;
  float scale;
  float norm_epsilon;
  int beside_earlier;
  float* key_scales;  // Both or none.
  float* value_scales;
  int window;       // A row sees so many keys at most, the last ones; 0: all.
  float score_cap;  // Scores are cap · tanh(score / cap); 0: as they are.
};
extern "C" int spillway_decode_attention(const DecodeAttention* args, Stream stream);

// Causal attention of chunks of prompts over their pages (which already hold the chunk's own keys):
// chunk c owns rows row_start[c] … row_start[c + 1] - 1, its row j stands at first_position[c] + j
// and sees keys up to itself. Requires: head_width 64, 128 or 256, q_heads % kv_heads == 0,
// rows_max ≥ the longest chunk.
struct PrefillAttention {
  void* out;  // bf16 [rows, q_heads, head_width]
  const void* q;
  std::int64_t q_stride;
  const void* keys;
  const void* values;
  const std::int32_t* page_table;      // row chunk_sequence[c] is chunk c's
  const std::int32_t* chunk_sequence;  // or null: page table row c
  const std::int32_t* row_start;       // [chunks + 1]
  const std::int32_t* first_position;  // [chunks]
  int page_stride;
  int chunks;
  int rows_max;
  int q_heads;
  int kv_heads;
  int head_width;
  float scale;
  const float* key_scales;  // Both or none.
  const float* value_scales;
  int window;  // As in DecodeAttention.
  float score_cap;
};
extern "C" int spillway_prefill_attention(const PrefillAttention* args, Stream stream);

}  // namespace spillway::kernels
