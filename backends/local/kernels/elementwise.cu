// Embedding rows, silu(gate) · up, and the words of a step's state.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) embed(Embed args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x;
  int id = args.ids[row];
  if (id < 0) id = args.last_token[~id];
  const int vectors = args.width / 8;
  const auto* from = static_cast<const Bf16x8*>(args.table) + int64_t{id} * vectors;
  auto* to = static_cast<Bf16x8*>(args.out) + int64_t{row} * vectors;
  for (int i = threadIdx.x; i < vectors; i += kThreads) to[i] = from[i];
}

__global__ void __launch_bounds__(kThreads) silu_mul_rows(SiluMul args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int vectors = args.width / 8;
  const int at = blockIdx.x * kThreads + threadIdx.x;
  if (at >= vectors) return;
  const auto* gate = static_cast<const Bf16x8*>(args.gate_up) + int64_t{blockIdx.y} * 2 * vectors;
  const Bf16x8 g = gate[at];
  const Bf16x8 u = gate[vectors + at];
  static_cast<Bf16x8*>(args.out)[int64_t{blockIdx.y} * vectors + at] = silu_mul(g, u);
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

extern "C" int spillway_silu_mul(const SiluMul* args, Stream stream) {
  if (args->width % 8 != 0) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((args->width / 8 + kThreads - 1) / kThreads, args->rows);
  shape.block = dim3(kThreads);
  return launch(silu_mul_rows, shape, stream, *args);
}

extern "C" int spillway_advance(std::int32_t* positions, int rows, Stream stream) {
  if (rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((rows + kThreads - 1) / kThreads);
  shape.block = dim3(kThreads);
  return launch(advance, shape, stream, positions, rows);
}

}  // namespace spillway::kernels
