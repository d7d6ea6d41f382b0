// Products of many groups of rows, each with weights of its own, on wgmma.
//
// A tile is 128 or 256 rows of weights by up to 96 … 144 tokens of one group. Two warpgroups
// multiply, the third fills stages for them. With silu_mul a tile has 8 rows of gate and 8 of up in
// turn, which meet in one thread's sums. Where groups have many tokens, two blocks are a cluster
// that has the same weights for different tokens.
#include "backends/local/kernels/grouped_stages.cuh"

namespace spillway::kernels {
namespace {

// What a warpgroup makes of its part of a tile, by N tokens.
template <class F, int N>
class Sums {
 public:
  // Finds where rows of out begin, so that they are known when the sums are.
  __device__ Sums(const GroupedLinear& args, const Place& place, Leaving& leaving)
      : args_(args), place_(place), leaving_(leaving) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kRowsKept; ++i) {
      const int part = i * kPartsOfWarp + lane / kOwn;
      const int token = part * kLeavingTokens + first_own() + lane % kOwn;
      rows_[i] = token < place.tokens ? row_of(args, place, token) : 0;
    }
  }

  __device__ void multiply(Ring<F>& ring) {
    const uint32_t own = group() * F::kSlabs * kSlabRows * kTileRowBytes;
    uint32_t done = 0;  // The stage before, which is read until its products are done.
    for (int k = 0; k < args_.k; k += kTileDepth) {
      ring.wait_until_full();
      let_products_see_copies();
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

  // By way of shared memory, so that whole lines of memory are written.
  __device__ void store() const {
#pragma unroll
    for (int slab = 0; slab < F::kSlabs; ++slab) {
#pragma unroll
      for (int part = 0; part * kLeavingTokens < N; ++part) {
        leave(sum_[slab], part);
        meet_warpgroup(1 + group());
        write_out(group() * F::kSlabs + slab, part);
        meet_warpgroup(1 + group());
      }
    }
  }

 private:
  static constexpr int kOwn = kLeavingTokens / 4;  // Tokens that a warp writes out at a time.
  static constexpr int kPartsOfWarp = kWarp / kOwn;
  static constexpr int kRowsKept =
      (N + kPartsOfWarp * kLeavingTokens - 1) / (kPartsOfWarp * kLeavingTokens);

  __device__ static int group() { return threadIdx.x / kWarpgroup; }
  __device__ static int warp() { return threadIdx.x % kWarpgroup / kWarp; }
  __device__ static int first_own() { return warp() * kOwn; }

  // Lane 4g + t holds columns g and g + 8 of its warp's 16, or gate and up of column g of 8, of
  // tokens 2t and 2t + 1 of each 8. Two blocks of 8 tokens at a time.
  __device__ void leave(const float (&sum)[N / 2], int part) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int at = 0; at < kLeavingTokens / 8; at += 2) {
      const int block = part * kLeavingTokens / 8 + at;
      if (block >= N / 8) break;
      const float* const d = sum + block * 4;
      if (args_.silu_mul) {
        const uint32_t address = piece_address(leaving_, at * 8 + lane % 16, warp());
        store_transposed(address, pack(silu(d[0]) * d[2], silu(d[1]) * d[3]),
                         pack(silu(d[4]) * d[6], silu(d[5]) * d[7]));
      } else {
        const int token = at * 8 + lane / 16 * 8 + lane % 8;
        store_transposed(piece_address(leaving_, token, warp() * 2 + lane / 8 % 2),
                         pack(d[0], d[1]), pack(d[2], d[3]), pack(d[4], d[5]), pack(d[6], d[7]));
      }
    }
  }

  __device__ void write_out(int slab, int part) const {
    const int pieces = args_.silu_mul ? kPieces / 2 : kPieces;
    const int column = place_.weight_tile * F::columns(args_) + slab * pieces * 8;
    auto* const out =
        static_cast<__nv_bfloat16*>(args_.out) + place_.group * args_.out_group + column;
    for (int i = threadIdx.x % kWarp; i < kOwn * pieces; i += kWarp) {
      const int own = i / pieces;
      const int piece = i % pieces;
      const int lane = part % kPartsOfWarp * kOwn + own;
      const int64_t row = __shfl_sync(kAllLanes, rows_[part / kPartsOfWarp], lane);
      const bool exists = part * kLeavingTokens + first_own() + own < place_.tokens;
      if (!exists || column + piece * 8 >= args_.n) continue;
      *reinterpret_cast<Bf16x8*>(out + row * args_.out_stride + piece * 8) =
          leaving_.piece(first_own() + own, piece);
    }
  }

  // To all who bring weights there.
  __device__ static void give_back(uint32_t empty) {
    const int lane = threadIdx.x % kWarp;
    if constexpr (F::kSharers > 1) {
      if (lane < F::kSharers) barrier_arrive_at(empty, lane);
    } else if (lane == 0) {
      barrier_arrive(empty);
    }
  }

  const GroupedLinear& args_;
  const Place& place_;
  Leaving& leaving_;
  int rows_[kRowsKept];  // Of this warp's tokens, a lane one of each two parts.
  float sum_[F::kSlabs][N / 2];
};

template <class F, int N>
__device__ void make_tile(const GroupedLinear& args, const Place& place, Ring<F>& ring,
                          Leaving& leaving) {
  Sums<F, N> sums(args, place, leaving);
  sums.multiply(ring);
  sums.store();
}

template <class F>
__device__ void multiply_tiles(const GroupedLinear& args, Shared<F>& shared) {
  Ring<F> ring(shared);
  Leaving& leaving = shared.leaving[threadIdx.x / kWarpgroup];
  for (Turns<F> turns(args, shared); turns.left(); turns.next()) {
    const Place place = turns.place();
    if (place.tokens <= kFewTokens) {
      make_tile<F, kFewTokens>(args, place, ring, leaving);
    } else {
      make_tile<F, F::kTokens>(args, place, ring, leaving);
    }
  }
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
  meet_sharers<F>();
  if (threadIdx.x < kMultipliers) {
    take_more_registers<216>();
    if (early) wait_for_earlier_kernels();
    multiply_tiles(args, shared);
    leave_sharers<F>();
  } else {
    take_fewer_registers<72>();
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
  shape.grid = dim3(static_cast<unsigned>(tiles < kMultiprocessors ? tiles : kMultiprocessors));
  shape.block = dim3(kThreads);
  shape.cluster = dim3(F::kSharers);
  shape.shared_bytes = sizeof(Shared<F>);
  const int error = allow_shared(grouped_linear<F>, shape.shared_bytes);
  return error ? error : launch(grouped_linear<F>, shape, stream, args, map);
}

// Which form is the fastest was measured: PERFORMANCE.md. Few rows by the mean of all groups, those
// of shared experts too; many by what most groups have, which a tile should hold.
int enqueue_fitting(const GroupedLinear& args, Stream stream) {
  const int mean = args.lists ? args.rows_listed / args.groups : 0;
  if (mean <= 40) return enqueue<FewTokens>(args, stream);
  if (mean <= 80) return enqueue<SomeTokens>(args, stream);  // Hardly a group has more than 96.
  const int usual = args.rows_usual;
  if (usual <= 121) return enqueue<ManyTokens>(args, stream);
  if (usual <= 136) return enqueue<MoreTokens>(args, stream);
  if (usual <= 173) return enqueue<FewShared>(args, stream);
  if (usual <= 217) return enqueue<ManyShared>(args, stream);
  return enqueue<MoreTokens>(args, stream);
}

}  // namespace

extern "C" int spillway_grouped_linear(const GroupedLinear* args, Stream stream) {
  const bool supported = args->n % 16 == 0 && args->k % kTileDepth == 0 && args->groups >= 1 &&
                         args->groups <= kExpertsMax;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  return enqueue_fitting(*args, stream);
}

}  // namespace spillway::kernels
