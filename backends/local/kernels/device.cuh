// What kernels share: launching with early start, 16-byte vectors of bf16, silu(gate) · up, warp
// reductions, mma.
#pragma once

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace spillway::kernels {

inline constexpr int kWarp = 32;
inline constexpr int kBlockThreadsMax = 1024;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Everything enqueued before this kernel is done and visible. Every kernel calls it exactly once in
// every thread, also when it has nothing to do: "the kernel before me is done" must imply "all
// before it are".
__device__ inline void wait_for_earlier_kernels() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// The next kernel may take free room on the chip now; it still waits for the end of this one.
__device__ inline void let_next_kernel_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

struct alignas(16) Bf16x8 {
  uint32_t pair[4];
};

__device__ inline float2 unpack(uint32_t pair) {
  return __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(pair));
}

__device__ inline uint32_t pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(both);
}

// Weights: read once, so they should not push anything out of L1.
__device__ inline Bf16x8 load_weights(const void* address) {
  Bf16x8 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.pair[0]), "=r"(v.pair[1]), "=r"(v.pair[2]), "=r"(v.pair[3])
               : "l"(address));
  return v;
}

// Also read once, but an earlier kernel may write it while this one waits: not for the read-only
// path.
__device__ inline Bf16x8 load_once(const void* address) {
  Bf16x8 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.pair[0]), "=r"(v.pair[1]), "=r"(v.pair[2]), "=r"(v.pair[3])
               : "l"(address)
               : "memory");
  return v;
}

__device__ inline float warp_sum(float v) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) v += __shfl_xor_sync(kAllLanes, v, offset);
  return v;
}

__device__ inline float warp_max(float v) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, offset));
  }
  return v;
}

__device__ inline float silu(float x) { return x / (1.0f + __expf(-x)); }

// x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))
__device__ inline float gelu(float x) {
  constexpr float kTwoRootsOf2OverPi = 1.5957691216f;
  return x / (1.0f + __expf(-kTwoRootsOf2OverPi * (x + 0.044715f * x * x * x)));
}

__device__ inline Bf16x8 gate_mul(const Bf16x8& gate, const Bf16x8& up, bool with_gelu) {
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(gate.pair[p]);
    const float2 b = unpack(up.pair[p]);
    out.pair[p] =
        with_gelu ? pack(gelu(a.x) * b.x, gelu(a.y) * b.y) : pack(silu(a.x) * b.x, silu(a.y) * b.y);
  }
  return out;
}

// cap · tanh(x / cap)
__device__ inline float soft_cap(float x, float cap) {
  return cap - 2.0f * cap / (1.0f + __expf(2.0f * x / cap));
}

// d[16×8] += a[16×16] · b[16×8], bf16 in, fp32 out, one warp. Lane 4g + t holds
// a: rows g, g+8, g, g+8 at k = 2t, 2t, 2t+8, 2t+8 (pairs); b: column g at k = 2t, 2t+8; d: (g,
// 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
__device__ inline void mma_16x8x16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                   uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  int shared_bytes = 0;
  dim3 cluster = {1, 1, 1};
};

// Launches with programmatic stream serialization, so that the kernel's preamble overlaps the tail
// of the one before it.
template <typename... Params, typename... Args>
int launch(void (*kernel)(Params...), const LaunchShape& shape, CUstream_st* stream, Args... args) {
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {shape.cluster.x, shape.cluster.y, shape.cluster.z};
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = static_cast<size_t>(shape.shared_bytes);
  config.stream = stream;
  config.attrs = attributes;
  const bool clustered = shape.cluster.x * shape.cluster.y * shape.cluster.z > 1;
  config.numAttrs = clustered ? 2 : 1;
  return static_cast<int>(cudaLaunchKernelEx(&config, kernel, args...));
}

// For kernels with a block a row, whose threads hold up to `thread_vectors` vectors of 8 each;
// cudaErrorInvalidValue if a row does not fit.
template <typename Args>
int launch_rows(void (*kernel)(Args), int rows, int width, int thread_vectors, CUstream_st* stream,
                const Args& args) {
  const int vectors = width / 8;
  if (width % 8 != 0 || vectors > kBlockThreadsMax * thread_vectors) return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  const int threads = (vectors + kWarp - 1) / kWarp * kWarp;
  LaunchShape shape;
  shape.grid = dim3(rows);
  shape.block = dim3(threads < kBlockThreadsMax ? threads : kBlockThreadsMax);
  return launch(kernel, shape, stream, args);
}

// Raises a kernel's limit of dynamic shared memory; cheap enough to repeat, and needed once a
// device.
template <typename Kernel>
int allow_shared(Kernel kernel, int bytes) {
  return static_cast<int>(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

}  // namespace spillway::kernels
