// Products of many groups of rows, each with weights of its own, on wgmma.
//
// A tile is 128 or 256 rows of weights by up to 96 … 144 tokens of one group. Two warpgroups
// multiply, the third fills stages for them. With silu_mul a tile has 8 rows of gate and 8 of up in
// turn, which meet in one thread's sums. Where groups have many tokens, two blocks are a cluster
// that has the same weights for different tokens.
#pragma once

#include "backends/local/kernels/grouped_sums.cuh"

namespace spillway::kernels {
namespace {

template <class F, int N>
__device__ void make_tile(const GroupedLinear& args, const Place& place, Ring<F>& ring,
                          Shared<F>& shared) {
  Sums<F, N> sums(args, place, shared);
  sums.multiply(ring);
  sums.store();
}

template <class F>
__device__ void multiply_tiles(const GroupedLinear& args, Shared<F>& shared) {
  Ring<F> ring(shared);
  for (Turns<F> turns(args, shared); turns.left(); turns.next()) {
    const Place place = turns.place();
    if (F::kTokens > kFewTokens && place.tokens <= kFewTokens) {
      make_tile<F, kFewTokens>(args, place, ring, shared);
    } else {
      make_tile<F, F::kTokens>(args, place, ring, shared);
    }
  }
}

template <class F>
__global__ void __launch_bounds__(kThreads, F::kBlocks)
    grouped_linear(const __grid_constant__ GroupedLinear args,
                   const __grid_constant__ CUtensorMap map) {
  extern __shared__ __align__(kTileAlignment) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<F>*>(raw);
  const bool early = !args.lists || args.after_same_lists;
  if (threadIdx.x == kMultipliers) init_barriers(shared);
  if (!early) wait_for_earlier_kernels();
  // Only now: what follows may rely on lists that were there before this kernel.
  let_next_kernel_start();
  if (threadIdx.x < kWarp) shared.tiles.count(args, F::weight_tiles(args));
  meet_sharers<F>();
  if (threadIdx.x < kMultipliers) {
    take_more_registers<F::kBlocks == 1 ? 216 : 96>();
    if (early) wait_for_earlier_kernels();
    multiply_tiles(args, shared);
    leave_sharers<F>();
  } else {
    take_fewer_registers<F::kBlocks == 1 ? 72 : 48>();
    Filler<F> filler(args, map, shared);
    filler.begin();
    if (early) wait_for_earlier_kernels();
    filler.run();
    leave_sharers<F>();
  }
}

constexpr int kMultiprocessors = 132;

template <class F>
int enqueue(const GroupedLinear& args, Stream stream) {
  CUtensorMap map;
  if (const int error = make_weight_map(map, args, F::kRows / F::kSharers)) return error;
  const int of_group = (args.rows + F::kTokens - 1) / F::kTokens;
  const int64_t token_tiles = args.lists ? args.rows_listed : args.groups * of_group;
  const int64_t tiles = token_tiles * F::weight_tiles(args) * F::kSharers;
  LaunchShape shape;
  constexpr int kRoom = kMultiprocessors * F::kBlocks;
  shape.grid = dim3(static_cast<unsigned>(tiles < kRoom ? tiles : kRoom));
  shape.block = dim3(kThreads);
  shape.cluster = dim3(F::kSharers);
  shape.shared_bytes = sizeof(Shared<F>);
  const int error = allow_shared(grouped_linear<F>, shape.shared_bytes);
  return error ? error : launch(grouped_linear<F>, shape, stream, args, map);
}

}  // namespace
}  // namespace spillway::kernels
