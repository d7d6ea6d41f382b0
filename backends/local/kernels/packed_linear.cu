// Products of some dozens or hundreds of tokens with weights of 8 or 4 bits, on wgmma: weights
// become bf16 in registers, right before they are multiplied.
//
// A block has 128 rows of weights and up to 32, 64 or 128 tokens. One warp has the copy engine fill
// stages of 128 columns, two warpgroups multiply 64 rows each. Where there are few tiles, blocks of
// a cluster share a tile by columns, and add up through distributed shared memory.
#include "backends/local/kernels/kernels.h"
#include "backends/local/kernels/packed_fragments.cuh"
#include "backends/local/kernels/tensor_maps.h"

#include <cooperative_groups.h>

namespace spillway::kernels {
namespace {

namespace cg = cooperative_groups;

constexpr int kRows = 128;
constexpr int kDepth = 128;                     // Columns of a stage.
constexpr int kWarps = 2 * kWarpgroup / kWarp;  // That multiply.
constexpr int kThreads = (kWarps + 1) * kWarp;
constexpr int kSplitsMax = 8;
constexpr int kSumStride = kRows + 4;  // Spreads tokens over the banks.

// Of few tokens two blocks fit on a multiprocessor, so that one begins while the other ends.
template <int Format, int Tokens>
struct Form {
  static constexpr int kFormat = Format;
  static constexpr int kTokens = Tokens;
  static constexpr int kBlocks = Tokens > 64 ? 1 : 2;     // On a multiprocessor.
  static constexpr int kTiles = Format == kInt8 ? 2 : 1;  // Of packed weights, in a stage.
  static constexpr int kColumnBytes = kTiles * kPackedRowBytes;
  static constexpr int kStageBytes = Tokens * kDepth * 2 + kRows * kColumnBytes;
  static constexpr int kStages = 200 * 1024 / kBlocks / kStageBytes;
};

template <class F>
struct Stage {
  Tile<kTileDepth, F::kTokens> x[kDepth / kTileDepth];
  PackedTile<kRows> weights[F::kTiles];
};

template <class F>
struct Shared {
  union {
    Stage<F> stage[F::kStages];
    float sum[F::kTokens][kSumStride];  // Once all stages are read.
  };
  uint64_t full[F::kStages];
  uint64_t empty[F::kStages];
};

// Which stages of columns a block has, of which tile.
struct Part {
  int first_row;
  int first_token;
  int begin;
  int end;
};

__device__ Part part_of_block(const PackedLinear& args, int tokens) {
  const int stages = (args.k + kDepth - 1) / kDepth;
  const int splits = gridDim.z;
  const int split = blockIdx.z;
  return {static_cast<int>(blockIdx.y) * kRows, static_cast<int>(blockIdx.x) * tokens,
          stages * split / splits, stages * (split + 1) / splits};
}

// Weights before the kernels before this one are done, and then x.
template <class F>
__device__ void fill(const Part& part, const CUtensorMap& x, const CUtensorMap& weights,
                     Shared<F>& shared) {
  const auto bring_weights = [&](int at, int stage) {
    const uint32_t full = shared_address(shared.full + at);
    barrier_expect(full, sizeof(Stage<F>));
#pragma unroll
    for (int tile = 0; tile < F::kTiles; ++tile) {
      copy_rows(shared_address(&shared.stage[at].weights[tile]), weights, full,
                stage * F::kColumnBytes + tile * kPackedRowBytes, part.first_row);
    }
  };
  const auto bring_x = [&](int at, int stage) {
#pragma unroll
    for (int tile = 0; tile < kDepth / kTileDepth; ++tile) {
      copy_rows(shared_address(&shared.stage[at].x[tile]), x, shared_address(shared.full + at),
                stage * kDepth + tile * kTileDepth, part.first_token);
    }
  };
  const int ahead = min(part.end, part.begin + F::kStages);
  for (int stage = part.begin; stage < ahead; ++stage) bring_weights(stage - part.begin, stage);
  wait_for_earlier_kernels();
  for (int stage = part.begin; stage < ahead; ++stage) bring_x(stage - part.begin, stage);
  for (int stage = ahead; stage < part.end; ++stage) {
    const int round = stage - part.begin;
    const int at = round % F::kStages;
    barrier_wait(shared_address(shared.empty + at), (round / F::kStages + 1) % 2);
    bring_weights(at, stage);
    bring_x(at, stage);
  }
}

// A warpgroup's 64 rows.
template <class F>
class Sums {
 public:
  __device__ Sums(const PackedLinear& args, const Part& part)
      : args_(args),
        row_(threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4),
        first_row_(part.first_row + row_) {
#pragma unroll
    for (int r = 0; r < 2; ++r) exists_[r] = first_row_ + r * 8 < args.n;
  }

  __device__ void multiply(const Part& part, Shared<F>& shared) {
    find_scales(part.begin);
    for (int stage = part.begin; stage < part.end; ++stage) {
      const int at = (stage - part.begin) % F::kStages;
      barrier_wait(shared_address(shared.full + at), (stage - part.begin) / F::kStages % 2);
      const Groups groups = groups_;
      if (stage + 1 < part.end) find_scales(stage + 1);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        wait_for_products<1>();  // Nobody reads these fragments any more.
        if (half == 1 && stage > part.begin) give_back(shared, stage - 1 - part.begin);
        take(shared.stage[at], half, groups);
        multiply_half(shared.stage[at].x[half], half, half == 1 || stage > part.begin);
      }
    }
    wait_for_products<0>();
    settle(sum_);
  }

  // Lane 4g + t holds rows g and g + 8, of tokens 2t and 2t + 1 of each 8.
  __device__ void leave(Shared<F>& shared) const {
    const int first = threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < F::kTokens / 2; ++i) {
      shared.sum[i / 4 * 8 + first + i % 2][row_ + i % 4 / 2 * 8] = sum_[i];
    }
  }

 private:
  static constexpr int kGroups = is_int4(F::kFormat) ? kDepth / group_columns(F::kFormat) : 1;
  struct Groups {
    GroupWord<F::kFormat> of[kGroups][2];
  };

  __device__ void find_scales(int stage) {
    if constexpr (is_int4(F::kFormat)) {
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const int64_t first = int64_t{stage * kGroups + group} * args_.n + first_row_;
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          groups_.of[group][r] = {};
          if (exists_[r])
            groups_.of[group][r] = GroupWord<F::kFormat>::at(args_.scales, first + r * 8);
        }
      }
    }
  }

  __device__ void take(const Stage<F>& stage, int half, const Groups& groups) {
    if constexpr (is_int4(F::kFormat)) {
      take_int4(fragments_[half], stage.weights[0], row_, half, groups.of);
    } else {
      take_int8(fragments_[half], stage.weights[half], row_);
    }
  }

  __device__ void multiply_half(const Tile<kTileDepth, F::kTokens>& x, int half, bool add) {
    const uint64_t b = operand_of(shared_address(&x));
    begin_products();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      warpgroup_multiply_registers<F::kTokens>(sum_, fragments_[half][step], b + step * kDepthStep,
                                               add || step > 0);
    }
    close_products();
  }

  __device__ static void give_back(Shared<F>& shared, int round) {
    if (threadIdx.x % kWarp == 0) barrier_arrive(shared_address(shared.empty + round % F::kStages));
  }

  const PackedLinear& args_;
  const int row_;        // The first of this lane's, of the block.
  const int first_row_;  // Of the matrix.
  bool exists_[2];
  Groups groups_;  // Of the next stage.
  Fragments fragments_[2];
  float sum_[F::kTokens / 2];
};

// Four rows' sums of a token over the blocks that share the tile.
template <class F>
__device__ float4 total(Shared<F>& shared, int token, int row) {
  float4 sum = {};
  for (int split = 0; split < static_cast<int>(gridDim.z); ++split) {
    const Shared<F>* const from =
        gridDim.z > 1 ? cg::this_cluster().map_shared_rank(&shared, split) : &shared;
    const float4 part = *reinterpret_cast<const float4*>(&from->sum[token][row]);
    sum.x += part.x;
    sum.y += part.y;
    sum.z += part.z;
    sum.w += part.w;
  }
  return sum;
}

template <class F>
__device__ void write_out(const PackedLinear& args, const Part& part, Shared<F>& shared) {
  constexpr int kLanes = kRows / 4;  // Of a token.
  static_assert(kLanes == kWarp);
  const int row = threadIdx.x % kWarp * 4;
  const int column = part.first_row + row;
  const int tokens = min(F::kTokens, args.rows - part.first_token);
  if (column >= args.n) return;
  float4 scale = {1.0f, 1.0f, 1.0f, 1.0f};
  if (F::kFormat == kInt8) scale = static_cast<const float4*>(args.scales)[column / 4];
  const int warps = kWarps * gridDim.z;
  for (int token = threadIdx.x / kWarp + kWarps * blockIdx.z; token < tokens; token += warps) {
    const float4 sum = total(shared, token, row);
    auto* const to = reinterpret_cast<uint2*>(static_cast<__nv_bfloat16*>(args.out) +
                                              int64_t{part.first_token + token} * args.n + column);
    float2 low = {sum.x * scale.x, sum.y * scale.y};
    float2 high = {sum.z * scale.z, sum.w * scale.w};
    if (args.add) {
      const uint2 there = *to;
      const float2 before = unpack(there.x);
      const float2 behind = unpack(there.y);
      low = {low.x + before.x, low.y + before.y};
      high = {high.x + behind.x, high.y + behind.y};
    }
    *to = {pack(low.x, low.y), pack(high.x, high.y)};
  }
}

template <class F>
__global__ void __launch_bounds__(kThreads, F::kBlocks)
    packed_linear(const __grid_constant__ PackedLinear args, const __grid_constant__ CUtensorMap x,
                  const __grid_constant__ CUtensorMap weights) {
  extern __shared__ __align__(kTileAlignment) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<F>*>(raw);
  let_next_kernel_start();
  if (threadIdx.x == 0) {
    for (int i = 0; i < F::kStages; ++i) {
      barrier_init(shared_address(shared.full + i), 1);
      barrier_init(shared_address(shared.empty + i), kWarps);
    }
    publish_barriers();
  }
  __syncthreads();
  const Part part = part_of_block(args, F::kTokens);
  const bool fills = threadIdx.x == kWarps * kWarp;
  if (fills) fill(part, x, weights, shared);
  if (!fills) wait_for_earlier_kernels();
  const bool multiplies = threadIdx.x < kWarps * kWarp;
  if (multiplies) {
    Sums<F> sums(args, part);
    sums.multiply(part, shared);
    asm volatile("bar.sync 1, %0;" ::"n"(2 * kWarpgroup) : "memory");  // All stages are read.
    sums.leave(shared);
  }
  __syncwarp();
  if (gridDim.z > 1) {
    meet_cluster();
  } else {
    __syncthreads();
  }
  if (multiplies) write_out(args, part, shared);
  __syncwarp();
  if (gridDim.z > 1) meet_cluster();  // Others may still read this block's sums.
}

int splits_of(const PackedLinear& args, int tiles, int blocks) {
  const int room = 132 * blocks;
  const int stages = (args.k + kDepth - 1) / kDepth;
  int splits = 1;
  while (splits < kSplitsMax && 2 * splits * tiles <= room && 2 * splits <= stages) {
    splits *= 2;
  }
  return splits;
}

template <class F>
int enqueue(const PackedLinear& args, Stream stream) {
  CUtensorMap x;
  CUtensorMap weights;
  if (const int error = make_row_map(x, args.x, args.rows, args.k, F::kTokens)) return error;
  const int row_bytes = F::kFormat == kInt8 ? args.k : groups_of(args.k) * kPackedRowBytes;
  if (const int error = make_packed_map(weights, args.weight, args.n, row_bytes, kRows))
    return error;
  LaunchShape shape;
  shape.grid = dim3((args.rows + F::kTokens - 1) / F::kTokens, (args.n + kRows - 1) / kRows);
  shape.grid.z = splits_of(args, static_cast<int>(shape.grid.x * shape.grid.y), F::kBlocks);
  shape.block = dim3(kThreads);
  shape.cluster = dim3(1, 1, shape.grid.z);
  shape.shared_bytes = sizeof(Shared<F>);
  const int error = allow_shared(packed_linear<F>, shape.shared_bytes);
  return error ? error : launch(packed_linear<F>, shape, stream, args, x, weights);
}

template <int Format>
int enqueue_format(const PackedLinear& args, Stream stream) {
  if (args.rows <= 32) return enqueue<Form<Format, 32>>(args, stream);
  if (args.rows <= 64) return enqueue<Form<Format, 64>>(args, stream);
  return enqueue<Form<Format, 128>>(args, stream);
}

}  // namespace

extern "C" int spillway_packed_linear(const PackedLinear* args, Stream stream) {
  const int grain = args->format == kInt8 ? 64 : 8;
  if (args->n % 8 != 0 || args->k % grain != 0) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  switch (args->format) {
    case kInt8: return enqueue_format<kInt8>(*args, stream);
    case kInt4: return enqueue_format<kInt4>(*args, stream);
    case kInt4Zeros: return enqueue_format<kInt4Zeros>(*args, stream);
    case kInt4Zeros64: return enqueue_format<kInt4Zeros64>(*args, stream);
    case kInt4Zeros32: return enqueue_format<kInt4Zeros32>(*args, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace spillway::kernels
