// What attention over lines of latent rows yields: P · V, and the merge of blocks that share lines.
#pragma once

#include "backends/local/kernels/latent_scores.cuh"

#include <cooperative_groups.h>

namespace spillway::kernels {
namespace {

namespace cg = cooperative_groups;

// What a block that shares its lines with others found; lies where the lines were.
template <class F>
struct Partial {
  float out[F::kRows][kLatentWidth];
  float maximum[F::kRows];
  float denominator[F::kRows];
  float factor[kSplitsMax][F::kRows];  // By which this block multiplies what others found.
};
static_assert(sizeof(Partial<OneToken>) <= sizeof(Shared<OneToken>::lines));

// A warp's part of what comes out: all rows of the block, some columns.
template <class F>
class Outputs {
 public:
  __device__ static int first_column() { return threadIdx.x / kWarp * F::kColumns; }

  __device__ void take(const Shared<F>& shared, const Tile<kLatentLine, F::kLines>& lines) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int group = 0; group < F::kGroups; ++group) {
      const float low = shared.shrink[group * 16 + lane / 4];
      const float high = shared.shrink[group * 16 + lane / 4 + 8];
#pragma unroll
      for (int tile = 0; tile < F::kColumnTiles; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) out[group][tile][i] *= i < 2 ? low : high;
      }
    }
#pragma unroll
    for (int step = 0; step < F::kLines / 16; ++step) {
      uint32_t p[F::kGroups][4];
#pragma unroll
      for (int group = 0; group < F::kGroups; ++group) {
        const int row = group * 16 + lane % 16;
        load_matrices(p[group],
                      shared_address(shared.p + row * F::kStrideP + step * 16 + lane / 16 * 8));
      }
#pragma unroll
      for (int tile = 0; tile < F::kColumnTiles; tile += 2) {
        uint32_t b[4];
        load_matrices_transposed(
            b, piece_address(lines, step * 16 + lane % 16, first_column() / 8 + tile + lane / 16));
#pragma unroll
        for (int group = 0; group < F::kGroups; ++group) {
          multiply(out[group][tile], p[group], b[0], b[1]);
          multiply(out[group][tile + 1], p[group], b[2], b[3]);
        }
      }
    }
  }

  // `put` gets row, column and the two values there.
  template <class Put>
  __device__ void for_each_pair(Put put) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int group = 0; group < F::kGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int tile = 0; tile < F::kColumnTiles; ++tile) {
          put(group * 16 + half * 8 + lane / 4, first_column() + tile * 8 + lane % 4 * 2,
              out[group][tile][2 * half], out[group][tile][2 * half + 1]);
        }
      }
    }
  }

  float out[F::kGroups][F::kColumnTiles][4] = {};
};

template <class F>
__device__ float denominator_of(const Shared<F>& shared, int row) {
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kLineWarps; ++warp) sum += shared.maximum[warp][row];
  return sum;
}

__device__ void store_pair(const LatentAttention& args, const Work& work, int row, int column,
                           float low, float high) {
  auto* const out = static_cast<__nv_bfloat16*>(args.out) + work.at(row) * kLatentWidth + column;
  *reinterpret_cast<uint32_t*>(out) = pack(low, high);
}

// Each block of the cluster merges a part of the columns.
template <class F>
__device__ void merge(const LatentAttention& args, const Work& work, Partial<F>& partial) {
  const auto cluster = cg::this_cluster();
  cluster.sync();
  if (threadIdx.x < F::kRows) {
    const int row = threadIdx.x;
    float whole = -INFINITY;
    for (int split = 0; split < args.splits; ++split) {
      whole = fmaxf(whole, cluster.map_shared_rank(&partial, split)->maximum[row]);
    }
    float sum = 0.0f;
    for (int split = 0; split < args.splits; ++split) {
      const Partial<F>& other = *cluster.map_shared_rank(&partial, split);
      const float weight = whole == -INFINITY ? 0.0f : exp2f(other.maximum[row] - whole);
      sum += weight * other.denominator[row];
      partial.factor[split][row] = weight;
    }
    for (int split = 0; split < args.splits; ++split) {
      partial.factor[split][row] *= sum > 0.0f ? 1.0f / sum : 0.0f;
    }
  }
  __syncthreads();
  const int columns = kLatentWidth / args.splits;
#pragma unroll 4
  for (int i = threadIdx.x; i < F::kRows * columns / 4; i += F::kThreads) {
    const int row = i / (columns / 4);
    const int column = blockIdx.x * columns + i % (columns / 4) * 4;
    if (!work.exists(row)) continue;
    float4 sum = {};
    for (int split = 0; split < args.splits; ++split) {
      const auto* const from = cluster.map_shared_rank(&partial, split)->out[row] + column;
      const float4 part = *reinterpret_cast<const float4*>(from);
      const float factor = partial.factor[split][row];
      sum.x += factor * part.x;
      sum.y += factor * part.y;
      sum.z += factor * part.z;
      sum.w += factor * part.w;
    }
    store_pair(args, work, row, column, sum.x, sum.y);
    store_pair(args, work, row, column + 2, sum.z, sum.w);
  }
  cluster.sync();  // Others may still read this block's part.
}

template <class F>
__device__ void share(const LatentAttention& args, const Work& work, Shared<F>& shared,
                      const Outputs<F>& outputs, const Scores<F>& scores, float scale) {
  auto& partial = reinterpret_cast<Partial<F>&>(shared.lines);
  outputs.for_each_pair([&](int row, int column, float low, float high) {
    *reinterpret_cast<float2*>(partial.out[row] + column) = {low, high};
  });
  if (Scores<F>::line_warp() == 0 && threadIdx.x % 4 == 0) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = Scores<F>::row_of(group, half);
        partial.maximum[row] = scores.maximum[group][half] * scale;
        partial.denominator[row] = denominator_of(shared, row);
      }
    }
  }
  merge(args, work, partial);
}

}  // namespace
}  // namespace spillway::kernels
