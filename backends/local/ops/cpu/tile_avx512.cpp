#include "backends/local/ops/cpu/tile_kernels.h"

#include <array>
#include <cstring>
#include <immintrin.h>
#include <utility>

// Functions carry their instruction set one by one: a flag for the whole file would also reach the
// templates it shares with others, and break them on lesser processors.
#define SPILLWAY_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

namespace spillway::local::ops {

namespace {

constexpr int kAhead = 2'048;  // Bytes: some hundred nanoseconds at the rate that memory delivers.

// Two activations, the same for all 16 rows of weights.
SPILLWAY_AVX512 inline __m512i broadcast(const std::int16_t* at) {
  int pair;
  std::memcpy(&pair, at, sizeof pair);
  return _mm512_set1_epi32(pair);
}

SPILLWAY_AVX512 inline __m512 halves(const std::uint16_t* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

// Pair of columns `pair` of a line, for 16 rows: two integers of 16 bits each.
template <Bits kBits>
SPILLWAY_AVX512 inline __m512i pair_of(__m512i line, int pair) {
  if constexpr (kBits == Bits::four) {
    const __m512i mask = _mm512_set1_epi32(0x000F000F);
    return _mm512_and_si512(_mm512_srli_epi32(line, static_cast<unsigned>(4 * pair)), mask);
  } else {
    return _mm512_srai_epi16(pair == 0 ? _mm512_slli_epi16(line, 8) : line, 8);
  }
}

template <Bits kBits, int kRows>
SPILLWAY_AVX512 void multiply(const PackedMatrix& matrix, int block, const QuantizedRows& x,
                              int tile, float* out) {
  constexpr int kPairs = line_columns(kBits) / 2;
  constexpr int kLines = kGroup / line_columns(kBits);
  const std::uint8_t* weights = matrix.weights(block);
  const std::uint16_t* scales = matrix.scales(block);
  const std::int16_t* values = x.values(tile);
  const float* x_scales = x.scales(tile);
  const float* x_sums = x.sums(tile);
  __m512 total[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) total[r] = _mm512_setzero_ps();

  for (int group = 0; group < matrix.groups(); ++group) {
    __m512i sum[kRows];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) sum[r] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int line = 0; line < kLines; ++line) {
      const __m512i packed = _mm512_load_si512(weights + line * 64);
      // The processor's own prefetching stops at each page: weights come from memory in one long
      // row.
      _mm_prefetch(reinterpret_cast<const char*>(weights + line * 64 + kAhead), _MM_HINT_T0);
#pragma GCC unroll 4
      for (int pair = 0; pair < kPairs; ++pair) {
        const __m512i q = pair_of<kBits>(packed, pair);
        const std::int16_t* const at = values + (line * kPairs + pair) * kRows * 2;
#pragma GCC unroll 12
        for (int r = 0; r < kRows; ++r) {
          sum[r] = _mm512_dpwssd_epi32(sum[r], q, broadcast(at + 2 * r));
        }
      }
    }
    const __m512 scale = halves(scales);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r]), _mm512_set1_ps(x_scales[r]));
      total[r] = _mm512_fmadd_ps(scale, product, total[r]);
    }
    if constexpr (kBits == Bits::four) {
      const __m512 offset = halves(scales + kBlockRows);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        total[r] = _mm512_fmadd_ps(offset, _mm512_set1_ps(x_sums[r]), total[r]);
      }
    }
    weights += kLines * 64;
    scales += kBits == Bits::four ? 2 * kBlockRows : kBlockRows;
    values += kGroup * kRows;
    x_scales += kRows;
    x_sums += kRows;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(out + r * kBlockRows, total[r]);
}

template <Bits kBits, int... kMinusOne>
constexpr std::array<TileKernel, kTileRows> by_rows(std::integer_sequence<int, kMinusOne...>) {
  return {multiply<kBits, kMinusOne + 1>...};
}
constexpr auto kFour = by_rows<Bits::four>(std::make_integer_sequence<int, kTileRows>());
constexpr auto kEight = by_rows<Bits::eight>(std::make_integer_sequence<int, kTileRows>());

}  // namespace

void tile_avx512_vnni(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile,
                      float* out) {
  const auto& kernels = matrix.bits() == Bits::four ? kFour : kEight;
  kernels[static_cast<std::size_t>(x.rows_of(tile) - 1)](matrix, block, x, tile, out);
}

}  // namespace spillway::local::ops
