// Rows to E4M3 with a scale each, as they are or through gate(x) · up; one block a row, which
// stays in registers.
#include "backends/local/kernels/fp8_rows.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kVectorsMax = 4;  // A thread holds up to this many vectors of 8.

__global__ void __launch_bounds__(kBlockThreadsMax) quantize_rows(QuantizeRows args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int vectors = args.width / 8;
  const int64_t row = blockIdx.x;
  const auto* x =
      static_cast<const Bf16x8*>(args.x) + row * vectors * (args.gate != kNoGate ? 2 : 1);
  const float* scale = args.x_scales ? args.x_scales + row : nullptr;
  Bf16x8 v[kVectorsMax];
#pragma unroll
  for (int i = 0; i < kVectorsMax; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= vectors) continue;
    v[i] = x[at];
    if (scale) v[i] = scaled_by(v[i], *scale, args.column_scales + at * 8);
    if (args.gate == kNoGate) continue;
    Bf16x8 up = x[vectors + at];
    if (scale) up = scaled_by(up, *scale, args.column_scales + (vectors + at) * 8);
    v[i] = gate_mul(v[i], up, args.gate == kGelu);
  }
  store_e4m3_row(v, vectors, static_cast<E4m3x8*>(args.out) + row * vectors, args.scales + row);
}

__global__ void __launch_bounds__(kBlockThreadsMax) scale_rows(ScaleRows args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int vectors = args.width / 8;
  auto* x = static_cast<Bf16x8*>(args.x) + int64_t{blockIdx.x} * vectors;
  const float scale = args.row_scales[blockIdx.x];
  for (int at = threadIdx.x; at < vectors; at += blockDim.x) {
    x[at] = scaled_by(x[at], scale, args.column_scales + at * 8);
  }
}

}  // namespace

extern "C" int spillway_quantize_rows(const QuantizeRows* args, Stream stream) {
  return launch_rows(quantize_rows, args->rows, args->width, kVectorsMax, stream, *args);
}

extern "C" int spillway_scale_rows(const ScaleRows* args, Stream stream) {
  return launch_rows(scale_rows, args->rows, args->width, kVectorsMax, stream, *args);
}

}  // namespace spillway::kernels
