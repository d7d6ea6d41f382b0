#include "backends/local/ops/cpu/tile_kernels.h"

#include <cstring>
#include <immintrin.h>

// See tile_avx512.cpp for why functions carry their instruction set.
#define SPILLWAY_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace spillway::local::ops {

namespace {

constexpr int kHalfBlock = 8;  // Rows of weights in a register.

SPILLWAY_AVX2 inline __m256i broadcast(const std::int16_t* at) {
  int pair;
  std::memcpy(&pair, at, sizeof pair);
  return _mm256_set1_epi32(pair);
}

SPILLWAY_AVX2 inline __m256 halves(const std::uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// Pair of columns `pair` of a line, for eight rows: two integers of 16 bits each.
SPILLWAY_AVX2 inline __m256i pair_of(__m256i line, int pair, bool four) {
  if (four) {
    return _mm256_and_si256(_mm256_srli_epi32(line, 4 * pair), _mm256_set1_epi32(0x000F000F));
  }
  const __m256i upper = pair == 0 ? _mm256_slli_epi16(line, 8) : line;
  return _mm256_srai_epi16(upper, 8);
}

template <int kRows>
SPILLWAY_AVX2 void half_block(const PackedMatrix& matrix, int block, int half,
                              const QuantizedRows& x, int tile, int first, float* out) {
  const bool four = matrix.bits() == Bits::four;
  const int lines = four ? 4 : 8;
  const int pairs = four ? 4 : 2;
  const int rows = x.rows_of(tile);
  const std::uint8_t* weights = matrix.weights(block) + half * 32;
  const std::uint16_t* scales = matrix.scales(block) + half * kHalfBlock;
  const std::int16_t* values = x.values(tile) + 2 * first;
  const float* x_scales = x.scales(tile) + first;
  const float* x_sums = x.sums(tile) + first;
  __m256 total[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = _mm256_setzero_ps();
  for (int group = 0; group < matrix.groups(); ++group) {
    __m256i sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = _mm256_setzero_si256();
    for (int line = 0; line < lines; ++line) {
      const __m256i packed =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(weights + line * 64));
      for (int pair = 0; pair < pairs; ++pair, values += 2 * rows) {
        const __m256i q = pair_of(packed, pair, four);
        for (int r = 0; r < kRows; ++r) {
          const __m256i products = _mm256_madd_epi16(q, broadcast(values + 2 * r));
          sum[r] = _mm256_add_epi32(sum[r], products);
        }
      }
    }
    const __m256 scale = halves(scales);
    const __m256 offset = four ? halves(scales + kBlockRows) : _mm256_setzero_ps();
    for (int r = 0; r < kRows; ++r) {
      const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[r]), _mm256_set1_ps(x_scales[r]));
      total[r] = _mm256_fmadd_ps(scale, product, total[r]);
      total[r] = _mm256_fmadd_ps(offset, _mm256_set1_ps(x_sums[r]), total[r]);
    }
    weights += four ? 256 : 512;
    scales += four ? 2 * kBlockRows : kBlockRows;
    x_scales += rows;
    x_sums += rows;
  }
  for (int r = 0; r < kRows; ++r) {
    _mm256_storeu_ps(out + (first + r) * kBlockRows + half * kHalfBlock, total[r]);
  }
}

template <int kRows>
void whole_block(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile, int first,
                 float* out) {
  half_block<kRows>(matrix, block, 0, x, tile, first, out);
  half_block<kRows>(matrix, block, 1, x, tile, first, out);
}

}  // namespace

void tile_avx2(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile,
               float* out) {
  // Sixteen registers hold the sums of four rows and little else.
  int first = 0;
  for (; first + 4 <= x.rows_of(tile); first += 4)
    whole_block<4>(matrix, block, x, tile, first, out);
  const int rest = x.rows_of(tile) - first;
  if (rest == 3) whole_block<3>(matrix, block, x, tile, first, out);
  if (rest == 2) whole_block<2>(matrix, block, x, tile, first, out);
  if (rest == 1) whole_block<1>(matrix, block, x, tile, first, out);
}

}  // namespace spillway::local::ops
