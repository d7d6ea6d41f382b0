// Embedding rows, gate · up, capped logits, and the words of a step's state.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kThreads = 256;

__device__ Bf16x8 times(const Bf16x8& v, float factor) {
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    out.pair[p] = pack(a.x * factor, a.y * factor);
  }
  return out;
}

__global__ void __launch_bounds__(kThreads) embed(Embed args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x;
  int id = args.ids[row];
  if (id < 0) id = args.last_token[~id];
  const int vectors = args.width / 8;
  const auto* from = static_cast<const Bf16x8*>(args.table) + int64_t{id} * vectors;
  auto* to = static_cast<Bf16x8*>(args.out) + int64_t{row} * vectors;
  for (int i = threadIdx.x; i < vectors; i += kThreads) {
    to[i] = args.gain == 0.0f ? from[i] : times(from[i], args.gain);
  }
}

__global__ void __launch_bounds__(kThreads) gate_rows(GateRows args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int vectors = args.width / 8;
  const int at = blockIdx.x * kThreads + threadIdx.x;
  if (at >= vectors) return;
  const auto* gate = static_cast<const Bf16x8*>(args.gate_up) + int64_t{blockIdx.y} * 2 * vectors;
  const Bf16x8 g = gate[at];
  const Bf16x8 u = gate[vectors + at];
  static_cast<Bf16x8*>(args.out)[int64_t{blockIdx.y} * vectors + at] =
      gate_mul(g, u, args.gate == kGelu);
}

__global__ void __launch_bounds__(kThreads) cap_logits(CapLogits args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= args.count / 4) return;
  float4& v = reinterpret_cast<float4*>(args.logits)[at];
  v = {soft_cap(v.x, args.cap), soft_cap(v.y, args.cap), soft_cap(v.z, args.cap),
       soft_cap(v.w, args.cap)};
}

__global__ void __launch_bounds__(kThreads) advance(int32_t* positions, int rows) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x * kThreads + threadIdx.x;
  if (row < rows && positions[row] >= 0) positions[row] += 1;
}

__global__ void __launch_bounds__(kThreads) patch(int32_t* words, const Patch* patches, int count) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= count) return;
  const int2 p = reinterpret_cast<const int2*>(patches)[i];
  words[p.x] = p.y;
}

}  // namespace

extern "C" int spillway_patch(std::int32_t* words, const Patch* patches, int count, Stream stream) {
  if (count == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((count + kThreads - 1) / kThreads);
  shape.block = dim3(kThreads);
  return launch(patch, shape, stream, words, patches, count);
}

extern "C" int spillway_embed(const Embed* args, Stream stream) {
  if (args->width % 8 != 0) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(args->rows);
  shape.block = dim3(kThreads);
  return launch(embed, shape, stream, *args);
}

extern "C" int spillway_gate_rows(const GateRows* args, Stream stream) {
  if (args->width % 8 != 0 || args->gate == kNoGate) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((args->width / 8 + kThreads - 1) / kThreads, args->rows);
  shape.block = dim3(kThreads);
  return launch(gate_rows, shape, stream, *args);
}

extern "C" int spillway_cap_logits(const CapLogits* args, Stream stream) {
  if (args->count % 4 != 0 || !(args->cap > 0.0f)) return cudaErrorInvalidValue;
  if (args->count == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>((args->count / 4 + kThreads - 1) / kThreads));
  shape.block = dim3(kThreads);
  return launch(cap_logits, shape, stream, *args);
}

extern "C" int spillway_advance(std::int32_t* positions, int rows, Stream stream) {
  if (rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((rows + kThreads - 1) / kThreads);
  shape.block = dim3(kThreads);
  return launch(advance, shape, stream, positions, rows);
}

}  // namespace spillway::kernels
