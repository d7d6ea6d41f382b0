// Stages of shared memory between those who fetch weights and tokens' rows and those who multiply
// them.
//
// The filling warpgroup runs ahead by as many stages as there are, over the end of one tile into
// the next, so that memory is never idle: one thread has the copy engine bring weights, all gather
// rows. Two blocks may share weights: each brings half of them, to both, and a stage is empty when
// both have read it.
#pragma once

#include "backends/local/kernels/grouped_tiles.cuh"
#include "backends/local/kernels/packed_fragments.cuh"
#include "backends/local/kernels/tensor_maps.h"
#include "backends/local/kernels/warpgroup.cuh"

#include <type_traits>

namespace spillway::kernels {
namespace {

constexpr int kSlabRows = 64;   // Of weights, that a warpgroup multiplies at once.
constexpr int kFewTokens = 32;  // For which a tile has products of their own.
constexpr int kMultipliers = 2 * kWarpgroup;
constexpr int kFillers = kWarpgroup;
constexpr int kThreads = kMultipliers + kFillers;
constexpr int kPieceBytes = 16;
constexpr int kPieces = kTileRowBytes / kPieceBytes;  // Of a row.

// What weights are, rows of weights and tokens of a tile, how many stages there are, how many
// blocks share weights, and how many a multiprocessor has. A row of a stage is 128 bytes of x, or
// twice that, and of integers 64 bytes of weights, or twice that.
template <int Format, int Rows, int Tokens, int Stages, int Sharers, int Blocks = 1>
struct Form {
  static constexpr int kFormat = Format;
  static constexpr int kRows = Rows;
  static constexpr int kTokens = Tokens;
  static constexpr int kStages = Stages;
  static constexpr int kSharers = Sharers;
  static constexpr int kBlocks = Blocks;
  static constexpr int kLeaving = Tokens < 64 ? Tokens : 64;  // That leave at a time.
  static constexpr int kSlabs = Rows / (2 * kSlabRows);       // Of a warpgroup.
  static constexpr bool kIntegers = Format == kInt8 || is_int4(Format);
  static constexpr int kDepth =
      Format == kBf16 ? kTileDepth : 2 * kTileDepth;       // Columns of a stage.
  static constexpr int kXBytes = Format == kE4m3 ? 1 : 2;  // Of a number.
  static constexpr int kXTiles = kDepth * kXBytes / kTileRowBytes;
  static constexpr int kWeightTiles = Format == kInt8 ? 2 : 1;
  static constexpr int kScales = Format == kInt4 ? Rows : 0;  // Of a stage, whose columns they are.
  static constexpr int kWeightRowBytes = kIntegers ? kPackedRowBytes : kTileRowBytes;
  using WeightTile = std::conditional_t<kIntegers, PackedTile<Rows>, Tile<kTileDepth, Rows>>;

  __host__ __device__ static int columns(const GroupedLinear& args) {  // Of out, in a tile.
    return args.silu_mul ? Rows / 2 : Rows;
  }
  __host__ __device__ static int weight_tiles(const GroupedLinear& args) {
    return (args.n + columns(args) - 1) / columns(args);
  }
};

// On its way out: a row for each token, of what 64 rows of weights make of it.
template <class F>
using Leaving = Tile<kTileDepth, F::kLeaving>;

template <class F>
struct Shared {
  struct Stage {
    typename F::WeightTile weights[F::kWeightTiles];
    Tile<kTileDepth, F::kTokens> x[F::kXTiles];
  };
  Stage stage[F::kStages];
  Leaving<F> leaving[kMultipliers / kWarpgroup];
  float x_scales[kMultipliers / kWarpgroup][F::kFormat == kE4m3 ? F::kTokens : 2];  // Of a tile.
  uint64_t full[F::kStages];
  uint64_t empty[F::kStages];
  TileNumbers<F::kTokens, F::kSharers> tiles;
  alignas(kPieceBytes) uint16_t scales[F::kStages][F::kScales > 0 ? F::kScales : 1];
};

// The stages, one after the other and round again.
template <class F>
class Ring {
 public:
  __device__ explicit Ring(Shared<F>& shared) : shared_(shared) {}
  __device__ auto& stage() const { return shared_.stage[at_]; }
  __device__ uint16_t* scales() const { return shared_.scales[at_]; }
  __device__ uint32_t full() const { return shared_address(shared_.full + at_); }
  __device__ uint32_t empty() const { return shared_address(shared_.empty + at_); }
  __device__ void wait_until_full() const { barrier_wait(full(), round_); }
  __device__ void wait_until_empty() const { barrier_wait(empty(), round_ ^ 1); }
  __device__ void advance() {
    if (++at_ < F::kStages) return;
    at_ = 0;
    round_ ^= 1;
  }

 private:
  Shared<F>& shared_;
  int at_ = 0;
  int round_ = 0;
};

template <class F>
__device__ void init_barriers(Shared<F>& shared) {
  for (int i = 0; i < F::kStages; ++i) {
    barrier_init(shared_address(shared.full + i), kFillers + 1);
    barrier_init(shared_address(shared.empty + i), F::kSharers * kMultipliers / kWarp);
  }
  publish_barriers();
}

// The tiles of a block. Blocks take tiles in turn, so that those of groups with many tokens are
// dealt out evenly.
template <class F>
class Turns {
 public:
  __device__ Turns(const GroupedLinear& args, const Shared<F>& shared)
      : tiles_(shared.tiles), groups_(args.groups), tile_(blockIdx.x / F::kSharers) {}
  __device__ bool left() const { return tile_ < tiles_.first[groups_]; }
  __device__ void next() { tile_ += gridDim.x / F::kSharers; }
  __device__ Place place() const { return tiles_.place(groups_, tile_, blockIdx.x % F::kSharers); }

 private:
  const TileNumbers<F::kTokens, F::kSharers>& tiles_;
  const int groups_;
  int tile_;
};

// Whoever shares memory with this block has come as far.
template <class F>
__device__ void meet_sharers() {
  if constexpr (F::kSharers > 1) {
    meet_cluster();
  } else {
    __syncthreads();
  }
}

// Until then others may write to this block's memory.
template <class F>
__device__ void leave_sharers() {
  if constexpr (F::kSharers > 1) meet_cluster();
}

// Has the copy engine bring the weights of one stage after the other. One thread of a block does.
template <class F>
class Weights {
 public:
  __device__ Weights(const GroupedLinear& args, const CUtensorMap& map, Shared<F>& shared)
      : args_(args), map_(map), ring_(shared), turns_(args, shared) {
    find();
  }

  // Requires: the next stage is empty, for all who share weights.
  __device__ void bring() {
    if (!turns_.left()) return;
    barrier_expect(ring_.full(), F::kWeightTiles * F::kRows * F::kWeightRowBytes);
    constexpr int kPart = F::kRows / F::kSharers;
    const int part = blockIdx.x % F::kSharers;
    const int rows =
        place_.weight_tile * F::columns(args_) + part * F::columns(args_) / F::kSharers;
#pragma unroll
    for (int tile = 0; tile < F::kWeightTiles; ++tile) {
      const uint32_t to =
          shared_address(&ring_.stage().weights[tile]) + part * kPart * F::kWeightRowBytes;
      const int column = is_int4(F::kFormat) ? k_ / 2 : k_ + tile * kPackedRowBytes;
      const int at[5] = {column, 0, 0, rows / 8, place_.group};
      if constexpr (F::kSharers > 1) {
        copy_tile_to_all(to, map_, ring_.full(), at, (1 << F::kSharers) - 1);
      } else {
        copy_tile(to, map_, ring_.full(), at);
      }
    }
    ring_.advance();
    k_ += F::kDepth;
    if (k_ < args_.k) return;
    k_ = 0;
    turns_.next();
    find();
  }

 private:
  __device__ void find() {
    if (turns_.left()) place_ = turns_.place();
  }

  const GroupedLinear& args_;
  const CUtensorMap& map_;
  Ring<F> ring_;
  Turns<F> turns_;
  int k_ = 0;
  Place place_;
};

// Fills stage after stage: one thread sees to the weights, and each has one piece of a few tokens'
// rows, and some of them 8 rows' scales. Rows that the group or the weights do not have are left as
// they are: nobody looks at what comes of them.
template <class F>
class Filler {
 public:
  __device__ Filler(const GroupedLinear& args, const CUtensorMap& map, Shared<F>& shared)
      : args_(args),
        ring_(shared),
        turns_(args, shared),
        weights_(args, map, shared),
        row_((threadIdx.x - kMultipliers) / kPieces),
        piece_(threadIdx.x % kPieces) {}

  // The first stages' weights, which no kernel changes.
  __device__ void begin() {
    if (!leads()) return;
    for (int i = 0; i < F::kStages; ++i) weights_.bring();
  }

  __device__ void run() {
    bool left = turns_.left();
    if (left) find();
    while (left) {
      const int tokens = tokens_;
      const uint16_t* const scales = scales_;
      const char* from[kPasses];
#pragma unroll
      for (int i = 0; i < kPasses; ++i) {
        from[i] = rows_ + at_[i] / args_.x_share * args_.x_stride * F::kXBytes;
      }
      turns_.next();
      left = turns_.left();
      if (left) find();  // Arrives while this tile's pieces are asked for.
      fill(tokens, from, scales);
    }
  }

 private:
  static constexpr int kRowsOfPass = kFillers / kPieces;
  static constexpr int kPasses = F::kTokens / kRowsOfPass;
  static constexpr int kScalesTogether = kPieceBytes / sizeof(uint16_t);
  static_assert(F::kScales <= kFillers * kScalesTogether);
  static_assert(kRowsOfPass % 8 == 0);  // So that pieces are permuted alike in all passes.

  __device__ static bool leads() { return threadIdx.x == kMultipliers; }
  __device__ int token(int pass) const { return row_ + pass * kRowsOfPass; }

  __device__ void find() {
    const Place place = turns_.place();
    tokens_ = place.tokens;
    rows_ = static_cast<const char*>(args_.x) + place.group * args_.x_group * F::kXBytes +
            piece_ * kPieceBytes;
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      at_[i] = token(i) < tokens_ ? row_of(args_, place, token(i)) : 0;
    }
    if constexpr (F::kScales > 0) scales_ = scales_of(place);
  }

  __device__ int own_scales() const { return (threadIdx.x - kMultipliers) * kScalesTogether; }

  // Those that this thread brings for the first columns, if it does.
  __device__ const uint16_t* scales_of(const Place& place) const {
    if (own_scales() >= F::kScales) return nullptr;
    const int parts = args_.silu_mul ? 2 : 1;
    const int eight = own_scales() / kScalesTogether;
    const int column = place.weight_tile * F::columns(args_) + eight / parts * kScalesTogether;
    if (column >= args_.n) return nullptr;
    return static_cast<const uint16_t*>(args_.scales) +
           (place.group * parts + eight % parts) * args_.n + column;
  }

  __device__ void fill(int tokens, const char* (&from)[kPasses], const uint16_t* scales) {
    const int64_t next_scales = int64_t{args_.groups} * args_.n * (args_.silu_mul ? 2 : 1);
    for (int k = 0; k < args_.k; k += F::kDepth) {
      ring_.wait_until_empty();
      if (leads() && filled_ >= F::kStages) weights_.bring();
#pragma unroll
      for (int tile = 0; tile < F::kXTiles; ++tile) {
        const uint32_t to = piece_address(ring_.stage().x[tile], row_, piece_);
        const bool there = exists(k, tile);
#pragma unroll
        for (int i = 0; i < kPasses; ++i) {
          if (token(i) < tokens) copy_async(to + i * kRowsOfPass * kTileRowBytes, from[i], there);
          from[i] += kTileRowBytes;
        }
      }
      if (F::kScales > 0 && scales != nullptr) {
        copy_async(shared_address(ring_.scales() + own_scales()), scales, true);
        scales += next_scales;
      }
      barrier_arrive_after_copies(ring_.full());
      ++filled_;
      ring_.advance();
    }
  }

  // Whether x has this thread's piece of a tile: the last stage may be half a one.
  __device__ bool exists(int k, int tile) const {
    if (F::kFormat == kBf16) return true;
    return k * F::kXBytes + tile * kTileRowBytes + piece_ * kPieceBytes < args_.k * F::kXBytes;
  }

  const GroupedLinear& args_;
  Ring<F> ring_;
  Turns<F> turns_;
  int filled_ = 0;  // Stages so far.
  Weights<F> weights_;
  const int row_;
  const int piece_;
  int tokens_ = 0;  // Of the tile that was found last, where its rows begin, and which they are.
  const char* rows_ = nullptr;
  int at_[kPasses];
  const uint16_t* scales_ = nullptr;
};

}  // namespace
}  // namespace spillway::kernels
