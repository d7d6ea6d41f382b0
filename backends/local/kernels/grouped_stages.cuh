// Stages of shared memory between those who fetch weights and tokens' rows and those who multiply
// them.
//
// The filling warpgroup runs ahead by as many stages as there are, over the end of one tile into
// the next, so that memory is never idle: one thread has the copy engine bring weights, all gather
// rows.
#pragma once

#include "backends/local/kernels/grouped_tiles.cuh"
#include "backends/local/kernels/tensor_maps.h"
#include "backends/local/kernels/warpgroup.cuh"

namespace spillway::kernels {
namespace {

constexpr int kSlabRows = 64;   // Of weights, that a warpgroup multiplies at once.
constexpr int kFewTokens = 32;  // For which a tile has products of their own.
constexpr int kMultipliers = 2 * kWarpgroup;
constexpr int kFillers = kWarpgroup;
constexpr int kThreads = kMultipliers + kFillers;
constexpr int kPieces = kTileDepth / 8;  // Of a row, 16 bytes each.

// Rows of weights and tokens of a tile, how many stages there are, and in how many of them tokens'
// rows are under way.
template <int Rows, int Tokens, int Stages, int UnderWay>
struct Form {
  static constexpr int kRows = Rows;
  static constexpr int kTokens = Tokens;
  static constexpr int kStages = Stages;
  static constexpr int kUnderWay = UnderWay;
  static constexpr int kSlabs = Rows / (2 * kSlabRows);  // Of a warpgroup.

  __host__ __device__ static int columns(const GroupedLinear& args) {  // Of out, in a tile.
    return args.silu_mul ? Rows / 2 : Rows;
  }
  __host__ __device__ static int weight_tiles(const GroupedLinear& args) {
    return (args.n + columns(args) - 1) / columns(args);
  }
};
// Few tokens are bound by memory; many by the L2, from which larger tiles ask less.
using FewTokens = Form<128, 128, 6, 3>;
using SomeTokens = Form<256, 96, 5, 2>;
using ManyTokens = Form<256, 128, 4, 2>;

template <class F>
struct Shared {
  struct Stage {
    Tile<kTileDepth, F::kRows> weights;
    Tile<kTileDepth, F::kTokens> x;
  };
  Stage stage[F::kStages];
  uint64_t full[F::kStages];
  uint64_t empty[F::kStages];
  TileNumbers<F::kTokens> tiles;
};

// The stages, one after the other and round again.
template <class F>
class Ring {
 public:
  __device__ explicit Ring(Shared<F>& shared) : shared_(shared) {}
  __device__ auto& stage() const { return shared_.stage[at_]; }
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
    barrier_init(shared_address(shared.empty + i), kMultipliers / kWarp);
  }
  publish_barriers();
}

// Calls `work` with each of the block's tiles. Blocks take tiles in turn, so that those of groups
// with many tokens are dealt out evenly.
template <class Tiles, class Work>
__device__ void for_each_tile(const GroupedLinear& args, const Tiles& tiles, Work work) {
  for (int tile = blockIdx.x; tile < tiles.first[args.groups]; tile += gridDim.x) {
    work(tiles.place(args.groups, tile));
  }
}

// Has the copy engine bring the weights of one stage after the other. One thread of a block does.
template <class F>
class Weights {
 public:
  __device__ Weights(const GroupedLinear& args, const CUtensorMap& map, Shared<F>& shared)
      : args_(args), map_(map), shared_(shared), ring_(shared), tile_(blockIdx.x) {
    find();
  }

  // Requires: the next stage is empty.
  __device__ void bring() {
    if (tile_ >= shared_.tiles.first[args_.groups]) return;
    barrier_expect(ring_.full(), F::kRows * kTileRowBytes);
    copy_tile(shared_address(&ring_.stage().weights), map_, ring_.full(),
              {k_, 0, 0, place_.weight_tile * (F::columns(args_) / 8), place_.group});
    ring_.advance();
    k_ += kTileDepth;
    if (k_ < args_.k) return;
    k_ = 0;
    tile_ += gridDim.x;
    find();
  }

 private:
  __device__ void find() {
    if (tile_ < shared_.tiles.first[args_.groups]) {
      place_ = shared_.tiles.place(args_.groups, tile_);
    }
  }

  const GroupedLinear& args_;
  const CUtensorMap& map_;
  Shared<F>& shared_;
  Ring<F> ring_;
  int tile_;
  int k_ = 0;
  Place place_;
};

// Fills stage after stage: one thread sees to the weights, and each has one piece of a few tokens'
// rows. Rows that the group does not have are left as they are: nobody looks at what comes of them.
template <class F>
class Filler {
 public:
  __device__ Filler(const GroupedLinear& args, const CUtensorMap& map, Shared<F>& shared)
      : args_(args),
        shared_(shared),
        ring_(shared),
        come_(shared),
        weights_(args, map, shared),
        row_((threadIdx.x - kMultipliers) / kPieces),
        piece_(threadIdx.x % kPieces) {}

  // The first stages' weights, which no kernel changes.
  __device__ void begin() {
    if (!leads()) return;
    for (int i = 0; i < F::kStages; ++i) weights_.bring();
  }

  __device__ void run() {
    const int end = shared_.tiles.first[args_.groups];
    int tile = blockIdx.x;
    if (tile < end) find(tile);
    while (tile < end) {
      const int tokens = tokens_;
      const __nv_bfloat16* from[kPasses];
#pragma unroll
      for (int i = 0; i < kPasses; ++i) from[i] = rows_ + at_[i] / args_.x_share * args_.x_stride;
      tile += gridDim.x;
      if (tile < end) find(tile);  // Arrives while this tile's pieces are asked for.
      fill(tokens, from);
    }
    wait_for_copies<0>();
    for (int i = min(filled_, F::kUnderWay); i > 0; --i) hand_over();
  }

 private:
  static constexpr int kRowsOfPass = kFillers / kPieces;
  static constexpr int kPasses = F::kTokens / kRowsOfPass;
  static_assert(kRowsOfPass % 8 == 0);  // So that pieces are permuted alike in all passes.

  __device__ static bool leads() { return threadIdx.x == kMultipliers; }
  __device__ int token(int pass) const { return row_ + pass * kRowsOfPass; }

  __device__ void find(int tile) {
    const Place place = shared_.tiles.place(args_.groups, tile);
    tokens_ = place.tokens;
    rows_ = static_cast<const __nv_bfloat16*>(args_.x) + place.group * args_.x_group + piece_ * 8;
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      at_[i] = token(i) < tokens_ ? row_of(args_, place, token(i)) : 0;
    }
  }

  __device__ void fill(int tokens, const __nv_bfloat16* (&from)[kPasses]) {
    for (int k = 0; k < args_.k; k += kTileDepth) {
      ring_.wait_until_empty();
      if (leads() && filled_ >= F::kStages) weights_.bring();
      const uint32_t to = piece_address(ring_.stage().x, row_, piece_);
#pragma unroll
      for (int i = 0; i < kPasses; ++i) {
        if (token(i) < tokens) copy_async(to + i * kRowsOfPass * kTileRowBytes, from[i], true);
        from[i] += kTileDepth;
      }
      close_copies();
      if (filled_ >= F::kUnderWay) {
        wait_for_copies<F::kUnderWay>();
        hand_over();
      }
      ++filled_;
      ring_.advance();
    }
  }

  // The tokens of the oldest stage under way have come, and wgmma may read them.
  __device__ void hand_over() {
    let_products_see_copies();
    barrier_arrive(come_.full());
    come_.advance();
  }

  const GroupedLinear& args_;
  Shared<F>& shared_;
  Ring<F> ring_;
  Ring<F> come_;    // The stages whose tokens have come.
  int filled_ = 0;  // Stages so far.
  Weights<F> weights_;
  const int row_;
  const int piece_;
  int tokens_ = 0;  // Of the tile that was found last, where its rows begin, and which they are.
  const __nv_bfloat16* rows_ = nullptr;
  int at_[kPasses];
};

}  // namespace
}  // namespace spillway::kernels
