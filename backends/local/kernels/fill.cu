// Random weights of a real shape, made on the device: for benches, where loading 15 GB would be the
// slowest part.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kThreads = 256;

__device__ uint32_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return static_cast<uint32_t>(x >> 32);
}

// Sum of two uniforms: a triangle, near enough to a normal.
__device__ float centred(uint32_t random) {
  return (static_cast<float>(random & 0xffffu) + static_cast<float>(random >> 16)) *
             (1.0f / 65536.0f) -
         1.0f;
}

__global__ void __launch_bounds__(kThreads) fill(FillRandom args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const float spread =
      args.deviation * 2.449489742783178f;  // The triangle's own deviation is 1/√6.
  const int64_t step = int64_t{gridDim.x} * kThreads;
  auto* out = static_cast<__nv_bfloat16*>(args.out);
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < args.count; i += step) {
    const uint32_t random = mix(args.seed + static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15ull);
    out[i] = __float2bfloat16(args.mean + spread * centred(random));
  }
}

}  // namespace

extern "C" int spillway_fill_random(const FillRandom* args, Stream stream) {
  if (args->count == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(132 * 8);
  shape.block = dim3(kThreads);
  return launch(fill, shape, stream, *args);
}

}  // namespace spillway::kernels
