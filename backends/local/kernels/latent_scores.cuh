// Scores of queries and lines of latent rows, and the softmax over them as it goes along.
#pragma once

#include "backends/local/kernels/latent_tiles.cuh"

namespace spillway::kernels {
namespace {

// Scores of a warp: 16-row groups by a quarter of the tile's lines. Lane 4g + t holds rows g and
// g + 8 of each group.
template <class F>
class Scores {
 public:
  static constexpr int kTiles = F::kWarpLines / 8;
  static_assert(kTiles == 1);

  __device__ static int first_row() {
    return threadIdx.x / kWarp / kLineWarps * F::kScoreGroups * 16;
  }
  __device__ static int line_warp() { return threadIdx.x / kWarp % kLineWarps; }
  __device__ static int row_of(int group, int half) {
    return first_row() + group * 16 + half * 8 + threadIdx.x % kWarp / 4;
  }

  __device__ void multiply_tile(const Tile<kLatentLine, F::kRows>& q,
                                const Tile<kLatentLine, F::kLines>& lines) {
    const int lane = threadIdx.x % kWarp;
    const int first_line = line_warp() * F::kWarpLines;
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) s_[group][tile][i] = 0.0f;
      }
    }
#pragma unroll 4
    for (int step = 0; step < kSteps; step += kStepsOfLoad) {
      uint32_t b[4];  // 8 lines at two steps of 16 columns
      load_matrices(b, piece_address(lines, first_line + lane % 8, step * 2 + lane / 8));
#pragma unroll
      for (int group = 0; group < F::kScoreGroups; ++group) {
        const int row = first_row() + group * 16 + lane % 16;
        uint32_t a[4];
        load_matrices(a, piece_address(q, row, step * 2 + lane / 16));
        multiply(s_[group][0], a, b[0], b[1]);
        load_matrices(a, piece_address(q, row, step * 2 + 2 + lane / 16));
        multiply(s_[group][1], a, b[2], b[3]);
      }
    }
    add_halves();
  }

  // Two sums are under way at once, also of the same scores.
  __device__ void add_halves() {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int i = 0; i < 4; ++i) s_[group][0][i] += s_[group][1][i];
    }
  }

  // Lines that a row does not see count no more; what the rest have at most goes to `maximum`.
  __device__ void mask(const Work& work, int first_line, float (&maximum)[kLineWarps][F::kRows]) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row_of(group, half);
        const int last = work.exists(row) ? work.last_line(row) : -1;
        float top = -INFINITY;
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            const int line =
                first_line + line_warp() * F::kWarpLines + tile * 8 + threadIdx.x % 4 * 2 + i % 2;
            if (line > last) s_[group][tile][i] = -INFINITY;
            top = fmaxf(top, s_[group][tile][i]);
          }
        }
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
        if (threadIdx.x % 4 == 0) maximum[line_warp()][row] = top;
      }
    }
  }

  // P of the tile, and by how much what was summed before shrinks beside it.
  __device__ void soften(Shared<F>& shared, float scale) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row_of(group, half);
        float top = maximum[group][half];
#pragma unroll
        for (int warp = 0; warp < kLineWarps; ++warp) top = fmaxf(top, shared.maximum[warp][row]);
        const float base = top == -INFINITY ? 0.0f : top * scale;
        const float shrink = exp2f(maximum[group][half] * scale - base);
        maximum[group][half] = top;
        float sum = 0.0f;
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
          float* const s = s_[group][tile] + 2 * half;
          s[0] = exp2f(s[0] * scale - base);
          s[1] = exp2f(s[1] * scale - base);
          sum += s[0] + s[1];
          const int column = line_warp() * F::kWarpLines + tile * 8 + threadIdx.x % 4 * 2;
          *reinterpret_cast<uint32_t*>(shared.p + row * F::kStrideP + column) = pack(s[0], s[1]);
        }
        denominator[group][half] = denominator[group][half] * shrink + sum;
        if (line_warp() == 0 && threadIdx.x % 4 == 0) shared.shrink[row] = shrink;
      }
    }
  }

  // All warps' denominators, in `maximum`'s place.
  __device__ void leave_denominators(Shared<F>& shared) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float sum = denominator[group][half];
        sum += __shfl_xor_sync(kAllLanes, sum, 1);
        sum += __shfl_xor_sync(kAllLanes, sum, 2);
        if (threadIdx.x % 4 == 0) shared.maximum[line_warp()][row_of(group, half)] = sum;
      }
    }
  }

  float maximum[F::kScoreGroups][2];  // of the row, over all lines so far
  float denominator[F::kScoreGroups][2] = {};

 private:
  static constexpr int kStepsOfLoad = 2;
  float s_[F::kScoreGroups][2][4];
};

}  // namespace
}  // namespace spillway::kernels
