// Kernels of attention over latent rows (DeepSeek's MLA): the cache holds one row a token, of which
// keys and values of all heads are made, and queries are turned into its terms instead. As
// kernels.h in all that it says of functions and pointers.
//
// Pages of one layer: [pages, kPageTokens, kLatentLine] bf16, a line being the normed latent row
// and the rotated part of the key.
#pragma once

#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

inline constexpr int kLatentWidth = 512;
inline constexpr int kLatentRope = 64;
inline constexpr int kLatentLine = kLatentWidth + kLatentRope;

// From the fused projection (heads of queries, each key_width and then kLatentRope wide; the latent
// row; the rotated part of the key): norms the latent row, rotates pairs (2i, 2i + 1) and writes
// both to the token's line, and the queries' rotated parts behind their latent parts, which it
// leaves alone. Rows with a negative position are padding: untouched.
struct LatentAppend {
  void* queries;            // bf16 [rows, heads, kLatentLine]
  void* pages;              // bf16
  const void* projection;   // bf16 [rows, heads · (key_width + kLatentRope) + kLatentLine]
  const void* norm_weight;  // bf16 [kLatentWidth]
  const float* cos_sin;     // [positions, kLatentRope / 2, 2]
  const std::int32_t* positions;
  const std::int32_t* row_sequence;  // [rows] which page table row
  const std::int32_t* page_table;
  int rows;
  int page_stride;
  int heads;
  int key_width;
  float norm_epsilon;
};
extern "C" int spillway_latent_append(const LatentAppend* args, Stream stream);

// Attention of rows of queries over the lines of their sequence: scores over the whole line, and
// what comes out is weighted latent rows. Chunk c owns rows row_start[c] … row_start[c + 1] - 1,
// its row j stands at first_position[c] + j and sees lines up to its own; without `row_start` chunk
// c is row c alone, and a negative position is padding and yields zeros. `splits` blocks share the
// lines of a row and merge what they find, always in the same order. With `beside_earlier` it does
// not wait for the kernel enqueued just before it, which must be such attention of chunks, only for
// what that had to wait for: both then run at once. Requires: splits 1, 2, 4, 8 or 16; with
// row_start splits 1, and no beside_earlier.
struct LatentAttention {
  void* out;            // bf16 [rows, heads, kLatentWidth]
  const void* queries;  // bf16 [rows, heads, kLatentLine]
  const void* pages;
  const std::int32_t* page_table;
  const std::int32_t* chunk_sequence;  // Page table row; null: row c.
  const std::int32_t* row_start;       // [chunks + 1] or null
  const std::int32_t* first_position;  // [chunks]
  int page_stride;
  int chunks;
  int rows_max;  // Of a chunk.
  int heads;
  int splits;
  float scale;
  int beside_earlier;
};
extern "C" int spillway_latent_attention(const LatentAttention* args, Stream stream);

}  // namespace spillway::kernels
