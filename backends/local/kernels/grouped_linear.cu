// Products of many groups of rows, each with weights of its own, on mma.sync.
//
// A tile is 128 rows of weights by up to 128 tokens of one group. Blocks take tiles in turn and
// read ahead over the end of one into the next, so that memory is never idle; tiles that share
// weights follow each other, and all but the first find them in the L2. With silu_mul, half of a
// tile's rows are gate and the other half the same rows of up, and each warp has both.
#include "backends/local/kernels/expert_kernels.h"
#include "backends/local/kernels/matrix_tiles.cuh"

namespace spillway::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kWeightRows = 128;
constexpr int kHalf = kWeightRows / 2;
constexpr int kDepth = 64;                            // of k, in a stage
constexpr int kRowWarps = 4;                          // Warps by rows of weights; two by tokens.
constexpr int kRowsOfPass = kThreads / (kDepth / 8);  // that a block copies at once

template <int Tokens>
constexpr int kStages = Tokens == 32   ? 5
                        : Tokens == 64 ? 4
                                       : 3;

template <int Tokens>
struct Stage {
  Tile<kDepth, kWeightRows> weights;
  Tile<kDepth, Tokens> x;
};

constexpr int kRowBytes = kDepth * 2;
constexpr int kSteps = kDepth / 16;
constexpr uint32_t kTokensBegin = kWeightRows * kRowBytes;  // In a stage.

// Where a piece of a row lies in its tile; rows that are multiples of 8 further on are as many
// kRowBytes further.
__device__ uint32_t place_of_piece(int row, int piece) {
  return row * kRowBytes + (piece ^ (row % 8)) * 16;
}

// Where the stages begin, one after the other and round again.
template <int Tokens>
class StageWalk {
 public:
  __device__ explicit StageWalk(uint32_t begin) : begin_(begin), at_(begin) {}
  __device__ uint32_t next() {
    const uint32_t at = at_;
    at_ += sizeof(Stage<Tokens>);
    if (at_ == begin_ + kStages<Tokens> * sizeof(Stage<Tokens>)) at_ = begin_;
    return at;
  }

 private:
  const uint32_t begin_;
  uint32_t at_;
};

template <int Tokens>
struct Shared {
  Stage<Tokens> stage[kStages<Tokens>];
  int first_tile[kExpertsMax + 1];  // Of each group.
};

// What a tile is of.
struct Place {
  int group;
  int weight_tile;
  int first;  // of the rows of the group
  int count;  // of rows in the group

  __device__ bool has(int token) const { return first + token < count; }
};

__device__ int rows_of(const GroupedLinear& args, int group) {
  return args.lists ? args.counts[group] : args.rows;
}

__device__ int weight_tiles(const GroupedLinear& args) {
  return args.n / (args.silu_mul ? kHalf : kWeightRows);
}

template <int Tokens>
__device__ void number_tiles(const GroupedLinear& args, Shared<Tokens>& shared) {
  if (threadIdx.x < kWarp) {
    int before = 0;
    for (int base = 0; base < args.groups; base += kWarp) {
      const int group = base + threadIdx.x;
      const int rows = group < args.groups ? rows_of(args, group) : 0;
      int sum = (rows + Tokens - 1) / Tokens * weight_tiles(args);
#pragma unroll
      for (int offset = 1; offset < kWarp; offset *= 2) {
        const int other = __shfl_up_sync(kAllLanes, sum, offset);
        if (threadIdx.x >= offset) sum += other;
      }
      if (group < args.groups) shared.first_tile[group + 1] = before + sum;
      before += __shfl_sync(kAllLanes, sum, kWarp - 1);
    }
    if (threadIdx.x == 0) shared.first_tile[0] = 0;
  }
  __syncthreads();
}

template <int Tokens>
__device__ Place place_of(const GroupedLinear& args, const Shared<Tokens>& shared, int tile) {
  int low = 0;
  int high = args.groups;  // first_tile[low] ≤ tile < first_tile[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (shared.first_tile[middle] <= tile ? low : high) = middle;
  }
  Place place;
  place.group = low;
  place.count = rows_of(args, low);
  const int token_tiles = (place.count + Tokens - 1) / Tokens;
  const int within = tile - shared.first_tile[low];
  place.weight_tile = within / token_tiles;
  place.first = within % token_tiles * Tokens;
  return place;
}

// Which row that is, counted over all that the group may have: of out, and times x_share of x.
__device__ int row_of(const GroupedLinear& args, const Place& place, int token) {
  const int at = place.first + token;
  return args.lists ? args.lists[int64_t{place.group} * args.list_stride + at] : at;
}

__device__ int64_t weight_row(const GroupedLinear& args, const Place& place, int row) {
  const int64_t group_rows = args.silu_mul ? 2 * args.n : args.n;
  const int64_t begin = place.group * group_rows;
  if (!args.silu_mul) return begin + place.weight_tile * kWeightRows + row;
  return begin + row / kHalf * args.n + place.weight_tile * kHalf + row % kHalf;
}

// Copies one stage after the other, from the first tile of this block to the last. Each thread has
// one piece of a few rows.
template <int Tokens>
class Copier {
 public:
  __device__ Copier(const GroupedLinear& args, Shared<Tokens>& shared)
      : args_(args),
        shared_(shared),
        tiles_(shared.first_tile[args.groups]),
        own_(place_of_piece(threadIdx.x / (kDepth / 8), threadIdx.x % (kDepth / 8))),
        walk_(shared_address(shared.stage)),
        tile_(blockIdx.x) {
    turn_to_tile();
  }

  __device__ void copy() {
    const uint32_t to = walk_.next() + own_;
    if (tile_ < tiles_) {
#pragma unroll
      for (int i = 0; i < kWeightPasses; ++i) {
        copy_async(to + i * kRowsOfPass * kRowBytes, weight_[i], true);
        weight_[i] += kDepth;
      }
#pragma unroll
      for (int i = 0; i < kTokenPasses; ++i) {
        copy_async(to + kTokensBegin + i * kRowsOfPass * kRowBytes, x_[i], exists_[i]);
        x_[i] += kDepth;
      }
      step();
    }
    close_copies();
  }

 private:
  static constexpr int kWeightPasses = kWeightRows / kRowsOfPass;
  static constexpr int kTokenPasses = Tokens / kRowsOfPass;

  __device__ void step() {
    k_ += kDepth;
    if (k_ < args_.k) return;
    k_ = 0;
    tile_ += gridDim.x;
    turn_to_tile();
  }

  __device__ void turn_to_tile() {
    if (tile_ >= tiles_) return;
    const Place place = place_of(args_, shared_, tile_);
    const int row = threadIdx.x / (kDepth / 8);
    const int offset = threadIdx.x % (kDepth / 8) * 8;
#pragma unroll
    for (int i = 0; i < kWeightPasses; ++i) {
      weight_[i] = static_cast<const __nv_bfloat16*>(args_.weight) +
                   weight_row(args_, place, row + i * kRowsOfPass) * args_.k + offset;
    }
#pragma unroll
    for (int i = 0; i < kTokenPasses; ++i) {
      const int token = row + i * kRowsOfPass;
      exists_[i] = place.has(token);
      const int from = exists_[i] ? row_of(args_, place, token) / args_.x_share : 0;
      x_[i] = static_cast<const __nv_bfloat16*>(args_.x) + place.group * args_.x_group +
              from * args_.x_stride + offset;
    }
  }

  const GroupedLinear& args_;
  Shared<Tokens>& shared_;
  const int tiles_;
  const uint32_t own_;  // This thread's piece of the first rows.
  StageWalk<Tokens> walk_;
  int tile_;
  int k_ = 0;
  const __nv_bfloat16* weight_[kWeightPasses];
  const __nv_bfloat16* x_[kTokenPasses];
  bool exists_[kTokenPasses];
};

// A warp's sums: 16 rows of each half of the tile's weights, by half of its tokens.
template <int Tokens>
class Sums {
 public:
  static constexpr int kTokenTiles = Tokens / 16;  // of 8 tokens

  // What a lane reads of a stage for each step.
  struct Lane {
    __device__ Lane() {
      const int lane = threadIdx.x % kWarp;
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        weights[step] = place_of_piece(row_warp() * 16 + lane % 16, step * 2 + lane / 16);
        tokens[step] = kTokensBegin + place_of_piece(token_of(0) + lane / 16 * 8 + lane % 8,
                                                     step * 2 + lane / 8 % 2);
      }
    }
    uint32_t weights[kSteps];
    uint32_t tokens[kSteps];
  };

  // The stage that begins there.
  __device__ void take(uint32_t stage, const Lane& lane) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      uint32_t a[2][4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        load_matrices(a[half], stage + lane.weights[step] + half * kHalf * kRowBytes);
      }
#pragma unroll
      for (int tile = 0; tile < kTokenTiles; tile += 2) {
        uint32_t b[4];
        load_matrices(b, stage + lane.tokens[step] + tile * 8 * kRowBytes);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          multiply(sum[half][tile], a[half], b[0], b[1]);
          multiply(sum[half][tile + 1], a[half], b[2], b[3]);
        }
      }
    }
  }

  __device__ void store(const GroupedLinear& args, const Place& place) {
#pragma unroll
    for (int tile = 0; tile < kTokenTiles; ++tile) {
      if (args.silu_mul) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[0][tile][i] = silu(sum[0][tile][i]) * sum[1][tile][i];
        store_tile(args, place, tile, sum[0][tile], place.weight_tile * kHalf);
      } else {
        store_tile(args, place, tile, sum[0][tile], place.weight_tile * kWeightRows);
        store_tile(args, place, tile, sum[1][tile], place.weight_tile * kWeightRows + kHalf);
      }
    }
  }

  float sum[2][kTokenTiles][4] = {};

 private:
  __device__ static int row_warp() { return threadIdx.x / kWarp % kRowWarps; }
  __device__ static int token_of(int tile) {
    return threadIdx.x / kWarp / kRowWarps * (Tokens / 2) + tile * 8;
  }

  // Lane 4g + t holds columns g and g + 8 of tokens 2t and 2t + 1. Neighbours g and g ^ 1 trade, so
  // that each has two columns of one token.
  __device__ static void store_tile(const GroupedLinear& args, const Place& place, int tile,
                                    const float (&d)[4], int first_column) {
    const int lane = threadIdx.x % kWarp;
    const bool odd = lane / 4 % 2 == 1;
    uint32_t pairs[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float own = odd ? d[2 * half + 1] : d[2 * half];
      const float given = odd ? d[2 * half] : d[2 * half + 1];
      const float got = __shfl_xor_sync(kAllLanes, given, 4);
      pairs[half] = odd ? pack(got, own) : pack(own, got);
    }
    const int token = token_of(tile) + lane % 4 * 2 + (odd ? 1 : 0);
    if (!place.has(token)) return;
    const int column = first_column + row_warp() * 16 + lane / 4 / 2 * 2;
    auto* to = static_cast<__nv_bfloat16*>(args.out) + place.group * args.out_group +
               row_of(args, place, token) * args.out_stride + column;
    *reinterpret_cast<uint32_t*>(to) = pairs[0];
    *reinterpret_cast<uint32_t*>(to + 8) = pairs[1];
  }
};

template <int Tokens>
__global__ void __launch_bounds__(kThreads, 2) grouped_linear(GroupedLinear args) {
  extern __shared__ __align__(128) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<Tokens>*>(raw);
  constexpr int kAhead = kStages<Tokens> - 1;
  let_next_kernel_start();
  wait_for_earlier_kernels();
  number_tiles(args, shared);
  Copier<Tokens> copier(args, shared);
  for (int i = 0; i < kAhead; ++i) copier.copy();
  const typename Sums<Tokens>::Lane lane;
  StageWalk<Tokens> walk(shared_address(shared.stage));
  for (int tile = blockIdx.x; tile < shared.first_tile[args.groups]; tile += gridDim.x) {
    Sums<Tokens> sums;
    for (int k = 0; k < args.k; k += kDepth) {
      wait_for_copies<kAhead - 1>();
      __syncthreads();  // The stage is there, and nobody reads the one before it any more.
      copier.copy();
      sums.take(walk.next(), lane);
    }
    sums.store(args, place_of(args, shared, tile));
  }
  wait_for_copies<0>();
}

constexpr int kMultiprocessors = 132;

template <int Tokens>
int enqueue(const GroupedLinear& args, Stream stream) {
  const int of_group = (args.rows + Tokens - 1) / Tokens;
  const int64_t token_tiles = args.lists ? args.rows_listed : args.groups * of_group;
  const int64_t tiles = token_tiles * (args.n / (args.silu_mul ? kHalf : kWeightRows));
  LaunchShape shape;
  shape.grid =
      dim3(static_cast<unsigned>(tiles < 2 * kMultiprocessors ? tiles : 2 * kMultiprocessors));
  shape.block = dim3(kThreads);
  shape.shared_bytes = sizeof(Shared<Tokens>);
  const int error = allow_shared(grouped_linear<Tokens>, shape.shared_bytes);
  return error ? error : launch(grouped_linear<Tokens>, shape, stream, args);
}

}  // namespace

extern "C" int spillway_grouped_linear(const GroupedLinear* args, Stream stream) {
  const int grain = args->silu_mul ? kHalf : kWeightRows;
  const bool supported = args->n % grain == 0 && args->k % kDepth == 0 && args->groups >= 1 &&
                         args->groups <= kExpertsMax;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  const int expected = args->lists ? args->rows_listed / args->groups : args->rows;
  if (expected <= 24) return enqueue<32>(*args, stream);
  return expected <= 80 ? enqueue<64>(*args, stream) : enqueue<128>(*args, stream);
}

}  // namespace spillway::kernels
