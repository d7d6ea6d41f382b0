// One pass over a row of logits: the largest, where it is, and the sum of exponentials; shared by
// greedy and drawn sampling.
#pragma once

#include "backends/local/kernels/device.cuh"

namespace spillway::kernels {

inline constexpr float kLog2E = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

struct RowSummary {
  float maximum = -INFINITY;
  int index = 0;
  float sum = 0.0f;  // of exp(logit - maximum)

  __device__ void merge(const RowSummary& other) {
    const float top = fmaxf(maximum, other.maximum);
    if (top == -INFINITY) return;
    sum = sum * exp2f((maximum - top) * kLog2E) + other.sum * exp2f((other.maximum - top) * kLog2E);
    const bool takes = other.maximum > maximum || (other.maximum == maximum && other.index < index);
    if (takes) index = other.index;
    maximum = top;
  }

  __device__ float logprob(float logit) const { return logit - maximum - log2f(sum) * kLn2; }
};

// Adds vector number `index` of the row.
__device__ inline void add_vector(RowSummary& mine, const float4& v, int index) {
  const float values[4] = {v.x, v.y, v.z, v.w};
  const float top = fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w));
  if (top > mine.maximum) {
    mine.sum *= exp2f((mine.maximum - top) * kLog2E);
    mine.maximum = top;
#pragma unroll
    for (int j = 3; j >= 0; --j) {
      if (values[j] == top) mine.index = 4 * index + j;
    }
  }
  if (mine.maximum == -INFINITY) return;
#pragma unroll
  for (int j = 0; j < 4; ++j) mine.sum += exp2f((values[j] - mine.maximum) * kLog2E);
}

// This thread's share of vectors begin + thread, begin + thread + threads … below end.
__device__ inline RowSummary summarise(const float4* logits, int begin, int end, int thread,
                                       int threads) {
  constexpr int kUnderWay = 4;
  RowSummary mine;
  for (int first = begin + thread; first < end; first += kUnderWay * threads) {
    float4 v[kUnderWay];
#pragma unroll
    for (int j = 0; j < kUnderWay; ++j) {
      if (first + j * threads < end) v[j] = logits[first + j * threads];
    }
#pragma unroll
    for (int j = 0; j < kUnderWay; ++j) {
      if (first + j * threads < end) add_vector(mine, v[j], first + j * threads);
    }
  }
  return mine;
}

// The whole block's, in every thread. Requires: blockDim.x is a multiple of 32, at most 1024.
__device__ inline RowSummary block_summary(RowSummary mine) {
  __shared__ RowSummary parts[kWarp];
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    RowSummary other;
    other.maximum = __shfl_down_sync(kAllLanes, mine.maximum, offset);
    other.index = __shfl_down_sync(kAllLanes, mine.index, offset);
    other.sum = __shfl_down_sync(kAllLanes, mine.sum, offset);
    mine.merge(other);
  }
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = mine;
  __syncthreads();
  RowSummary all = parts[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) all.merge(parts[warp]);
  return all;
}

}  // namespace spillway::kernels
