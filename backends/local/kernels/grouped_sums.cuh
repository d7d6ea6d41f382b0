// What comes of a tile of a product of groups: sums by wgmma, scaled, and on their way out.
#pragma once

#include "backends/local/kernels/grouped_stages.cuh"

namespace spillway::kernels {
namespace {

// What a warpgroup makes of its part of a tile, by N tokens.
template <class F, int N>
class Sums {
 public:
  // Finds where rows of out begin, and what sums are to be scaled by, so that it is known when the
  // sums are.
  __device__ Sums(const GroupedLinear& args, const Place& place, Shared<F>& shared)
      : args_(args),
        place_(place),
        leaving_(shared.leaving[group()]),
        x_scales_(shared.x_scales[group()]) {
    find_scales();
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kRowsKept; ++i) {
      const int part = i * kPartsOfWarp + lane / kOwn;
      const int token = part * F::kLeaving + first_own() + lane % kOwn;
      rows_[i] = token < place.tokens ? row_of(args, place, token) : 0;
    }
  }

  __device__ void multiply(Ring<F>& ring) {
    if constexpr (F::kIntegers) {
      multiply_integers(ring);
    } else {
      multiply_tiles(ring);
    }
#pragma unroll
    for (int slab = 0; slab < F::kSlabs; ++slab) settle(sum_[slab]);
  }

  // By way of shared memory, so that whole lines of memory are written.
  __device__ void store() const {
    if (F::kFormat == kE4m3) meet_own();  // All have left scales of x.
#pragma unroll
    for (int slab = 0; slab < F::kSlabs; ++slab) {
#pragma unroll
      for (int part = 0; part * F::kLeaving < N; ++part) {
        leave(slab, part);
        meet_own();
        write_out(group() * F::kSlabs + slab, part);
        meet_own();
      }
    }
  }

 private:
  static constexpr int kOwn = F::kLeaving / 4;  // Tokens that a warp writes out at a time.
  static constexpr int kPartsOfWarp = kWarp / kOwn;
  static constexpr int kRowsKept =
      (N + kPartsOfWarp * F::kLeaving - 1) / (kPartsOfWarp * F::kLeaving);

  __device__ static int group() { return threadIdx.x / kWarpgroup; }
  __device__ static int warp() { return threadIdx.x % kWarpgroup / kWarp; }
  __device__ static int first_own() { return warp() * kOwn; }
  __device__ static int lane_row() { return threadIdx.x % kWarp / 4; }
  static constexpr bool kRowScales = F::kFormat == kE4m3 || F::kFormat == kInt8;

  // All 16 barriers leave none for a second block. Naming two made a single block of int8 slower.
  __device__ static void meet_own() {
    if constexpr (F::kBlocks == 1 && F::kFormat != kInt4) {
      meet_warpgroup(1 + group());
    } else {
      group() == 0 ? meet_warpgroup<1>() : meet_warpgroup<2>();
    }
  }

  // Of all groups' rows, that which this lane has as its first or second of a slab.
  __device__ int weight_row(int slab, int second) const {
    const int at = group() * F::kSlabs + slab;
    if (args_.silu_mul) {
      const int column = place_.weight_tile * F::columns(args_) + at * kSlabRows / 2 + warp() * 8;
      return (2 * place_.group + second) * args_.n + min(column + lane_row(), args_.n - 1);
    }
    const int column = place_.weight_tile * F::kRows + at * kSlabRows + warp() * 16 + second * 8;
    return place_.group * args_.n + min(column + lane_row(), args_.n - 1);
  }

  __device__ void find_scales() {
    if constexpr (kRowScales) {
#pragma unroll
      for (int slab = 0; slab < F::kSlabs; ++slab) {
#pragma unroll
        for (int second = 0; second < 2; ++second) {
          scale_[slab][second] = static_cast<const float*>(args_.scales)[weight_row(slab, second)];
        }
      }
    }
    if constexpr (F::kFormat == kE4m3) {
      for (int token = threadIdx.x % kWarpgroup; token < N; token += kWarpgroup) {
        const int row = token < place_.tokens ? row_of(args_, place_, token) : -1;
        x_scales_[token] = row < 0 ? 0.0f : args_.x_scales[row / args_.x_share];
      }
    }
  }

  // Of bf16, or of E4M3, from shared memory.
  __device__ void multiply_tiles(Ring<F>& ring) {
    const uint32_t own = group() * F::kSlabs * kSlabRows * kTileRowBytes;
    uint32_t done = 0;  // The stage before, which is read until its products are done.
    for (int k = 0; k < args_.k; k += F::kDepth) {
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
          multiply_step(sum_[slab], a + slab * kSlabStep + step * kDepthStep, b + step * kDepthStep,
                        k > 0 || step > 0);
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
  }

  __device__ static void multiply_step(float (&sum)[N / 2], uint64_t a, uint64_t b, bool add) {
    if constexpr (F::kFormat == kE4m3) {
      warpgroup_multiply_e4m3<N>(sum, a, b, add);
    } else {
      warpgroup_multiply<N>(sum, a, b, add);
    }
  }

  // Weights become bf16 in registers; one half of a stage does while the other is multiplied.
  __device__ void multiply_integers(Ring<F>& ring) {
    static_assert(!F::kIntegers || F::kSlabs == 1);
    const int row = group() * kSlabRows + warp() * 16 + lane_row();
    Fragments fragments[2];
    uint32_t done = 0;
    for (int k = 0; k < args_.k; k += F::kDepth) {
      ring.wait_until_full();
      let_products_see_copies();
      // Of int4, whose columns of a stage are one group.
      GroupWords<kInt4> scales = {};
      if constexpr (F::kScales > 0) {
        for (int r = 0; r < 2; ++r) scales[0][r] = {ring.scales()[row + r * 8]};
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        wait_for_products<1>();  // Nobody reads these fragments any more.
        if (half == 1 && k > 0) give_back(done);
        take(fragments[half], ring.stage(), row, half, scales);
        const uint64_t b = operand_of(shared_address(&ring.stage().x[half]));
        begin_products();
#pragma unroll
        for (int step = 0; step < 4; ++step) {
          warpgroup_multiply_registers<N>(sum_[0], fragments[half][step], b + step * kDepthStep,
                                          k > 0 || half > 0 || step > 0);
        }
        close_products();
      }
      done = ring.empty();
      ring.advance();
    }
    wait_for_products<0>();
    give_back(done);
  }

  template <class Stage>
  __device__ static void take(Fragments& out, const Stage& stage, int row, int half,
                              const GroupWords<kInt4>& scales) {
    if constexpr (F::kFormat == kInt4) {
      take_int4(out, stage.weights[0], row, half, scales);
    } else {
      take_int8(out, stage.weights[half], row);
    }
  }

  // The sums of two blocks of 8 tokens as they should be.
  __device__ void scale(float (&d)[8], int slab, int block) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      d[i] = sum_[slab][block * 4 + i];
      if constexpr (kRowScales) d[i] *= scale_[slab][i / 2 % 2];
      if constexpr (F::kFormat == kE4m3) {
        d[i] *= x_scales_[(block + i / 4) * 8 + threadIdx.x % 4 * 2 + i % 2];
      }
    }
  }

  // Lane 4g + t holds columns g and g + 8 of its warp's 16, or gate and up of column g of 8, of
  // tokens 2t and 2t + 1 of each 8. Two blocks of 8 tokens at a time.
  __device__ void leave(int slab, int part) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int at = 0; at < F::kLeaving / 8; at += 2) {
      const int block = part * F::kLeaving / 8 + at;
      if (block >= N / 8) break;
      float d[8];
      scale(d, slab, block);
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
      const bool exists = part * F::kLeaving + first_own() + own < place_.tokens;
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
  Leaving<F>& leaving_;
  float* const x_scales_;  // Of E4M3, of all tokens of the tile.
  float scale_[F::kSlabs][2];
  int rows_[kRowsKept];  // Of this warp's tokens, a lane one of each two parts.
  float sum_[F::kSlabs][N / 2];
};

}  // namespace
}  // namespace spillway::kernels
