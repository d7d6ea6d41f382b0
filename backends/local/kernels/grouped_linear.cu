// Products of many groups of rows, each with weights of its own, on wgmma.
//
// A tile is 128 or 256 rows of weights by up to 96 or 128 tokens of one group. Two warpgroups
// multiply, the third fills stages for them. With silu_mul a tile has 8 rows of gate and 8 of up in
// turn, which meet in one thread's sums.
#include "backends/local/kernels/grouped_stages.cuh"

namespace spillway::kernels {
namespace {

// What a warpgroup makes of its part of a tile, by N tokens.
template <class F, int N>
class Sums {
 public:
  // Finds where rows of out begin, so that they are known when the sums are.
  __device__ Sums(const GroupedLinear& args, const Place& place) : args_(args), place_(place) {
#pragma unroll
    for (int tile = 0; tile < N / 8; ++tile) {
      const bool exists = token(tile) < place.tokens;
      row_[tile] = exists ? row_of(args, place, token(tile)) : -1;
    }
  }

  __device__ void multiply(Ring<F>& ring) {
    const uint32_t own = threadIdx.x / kWarpgroup * F::kSlabs * kSlabRows * kTileRowBytes;
    uint32_t done = 0;  // The stage before, which is read until its products are done.
    for (int k = 0; k < args_.k; k += kTileDepth) {
      ring.wait_until_full();
      begin_products();
      const uint64_t a = operand_of(shared_address(&ring.stage().weights) + own);
      const uint64_t b = operand_of(shared_address(&ring.stage().x));
#pragma unroll
      for (int step = 0; step < kTileDepth / 16; ++step) {
#pragma unroll
        for (int slab = 0; slab < F::kSlabs; ++slab) {
          constexpr uint64_t kSlabStep = kSlabRows * kTileRowBytes / 16;
          warpgroup_multiply<N>(sum_[slab], a + slab * kSlabStep + step * kDepthStep,
                                b + step * kDepthStep, k > 0 || step > 0);
        }
      }
      close_products();
      wait_for_products<1>();
      if (k > 0) give_back(done);
      done = ring.empty();
      ring.advance();
    }
    wait_for_products<0>();
    give_back(done);
#pragma unroll
    for (int slab = 0; slab < F::kSlabs; ++slab) settle(sum_[slab]);
  }

  // Lane 4g + t holds columns g and g + 8 of 16, or gate and up of column g, of tokens 2t and
  // 2t + 1 of each 8. Neighbours g and g ^ 1 trade, so that each has two columns of one token.
  __device__ void store() const {
#pragma unroll
    for (int slab = 0; slab < F::kSlabs; ++slab) store_slab(sum_[slab], slab);
  }

 private:
  __device__ void store_slab(const float (&sum)[N / 2], int slab) const {
    const int lane = threadIdx.x % kWarp;
    const int unit = (threadIdx.x / kWarpgroup * F::kSlabs + slab) * 4 + threadIdx.x / kWarp % 4;
    const int columns = args_.silu_mul ? 8 : 16;  // Of a warp.
    const int column = place_.weight_tile * F::columns(args_) + unit * columns + lane / 4 / 2 * 2;
    auto* const out =
        static_cast<__nv_bfloat16*>(args_.out) + place_.group * args_.out_group + column;
#pragma unroll
    for (int tile = 0; tile < N / 8; ++tile) {
      const float* const d = sum + tile * 4;
      const bool exists = row_[tile] >= 0 && column < args_.n;
      auto* const to = out + row_[tile] * args_.out_stride;
      if (args_.silu_mul) {
        const uint32_t pair = trade(silu(d[0]) * d[2], silu(d[1]) * d[3]);
        if (exists) *reinterpret_cast<uint32_t*>(to) = pair;
      } else {
        const uint32_t low = trade(d[0], d[1]);
        const uint32_t high = trade(d[2], d[3]);
        if (exists) *reinterpret_cast<uint32_t*>(to) = low;
        if (exists) *reinterpret_cast<uint32_t*>(to + 8) = high;
      }
    }
  }

  __device__ static bool odd() { return threadIdx.x / 4 % 2 == 1; }
  // Which of each 8 this lane stores.
  __device__ static int token(int tile) { return tile * 8 + threadIdx.x % 4 * 2 + (odd() ? 1 : 0); }

  __device__ static void give_back(uint32_t empty) {
    if (threadIdx.x % kWarp == 0) barrier_arrive(empty);
  }

  __device__ static uint32_t trade(float first, float second) {
    const float own = odd() ? second : first;
    const float got = __shfl_xor_sync(kAllLanes, odd() ? first : second, 4);
    return odd() ? pack(got, own) : pack(own, got);
  }

  const GroupedLinear& args_;
  const Place& place_;
  int row_[N / 8];
  float sum_[F::kSlabs][N / 2];
};

template <class F, int N>
__device__ void make_tile(const GroupedLinear& args, const Place& place, Ring<F>& ring) {
  Sums<F, N> sums(args, place);
  sums.multiply(ring);
  sums.store();
}

template <class F>
__device__ void multiply_tiles(const GroupedLinear& args, Shared<F>& shared) {
  Ring<F> ring(shared);
  for_each_tile(args, shared.tiles, [&](const Place& place) {
    if (place.tokens <= kFewTokens) return make_tile<F, kFewTokens>(args, place, ring);
    make_tile<F, F::kTokens>(args, place, ring);
  });
}

template <class F>
__global__ void __launch_bounds__(kThreads, 1)
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
  __syncthreads();
  if (threadIdx.x < kMultipliers) {
    take_more_registers<216>();
    if (early) wait_for_earlier_kernels();
    multiply_tiles(args, shared);
  } else {
    take_fewer_registers<72>();
    Filler<F> filler(args, map, shared);
    filler.begin();
    if (early) wait_for_earlier_kernels();
    filler.run();
  }
}

constexpr int kMultiprocessors = 132;

template <class F>
int enqueue(const GroupedLinear& args, Stream stream) {
  CUtensorMap map;
  if (const int error = make_weight_map(map, args, F::kRows)) return error;
  const int of_group = (args.rows + F::kTokens - 1) / F::kTokens;
  const int64_t token_tiles = args.lists ? args.rows_listed : args.groups * of_group;
  const int64_t tiles = token_tiles * F::weight_tiles(args);
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(tiles < kMultiprocessors ? tiles : kMultiprocessors));
  shape.block = dim3(kThreads);
  shape.shared_bytes = sizeof(Shared<F>);
  const int error = allow_shared(grouped_linear<F>, shape.shared_bytes);
  return error ? error : launch(grouped_linear<F>, shape, stream, args, map);
}

}  // namespace

extern "C" int spillway_grouped_linear(const GroupedLinear* args, Stream stream) {
  const bool supported = args->n % 16 == 0 && args->k % kTileDepth == 0 && args->groups >= 1 &&
                         args->groups <= kExpertsMax;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  const int expected = args->lists ? args->rows_listed / args->groups : 0;
  if (expected <= 40) return enqueue<FewTokens>(*args, stream);
  // Hardly a group has more than 96 then.
  return expected <= 80 ? enqueue<SomeTokens>(*args, stream) : enqueue<ManyTokens>(*args, stream);
}

}  // namespace spillway::kernels
