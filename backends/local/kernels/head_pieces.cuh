// One head of a row in the registers of four lanes: lane t holds dimensions 32c + 8t … + 7 of every
// chunk c. The two halves of a rotated pair, half a head apart, are then in the same lane.
#pragma once

#include "backends/local/kernels/device.cuh"

namespace spillway::kernels {

template <int Width>
struct HeadPieces {
  static constexpr int kChunks = Width / 32;
  Bf16x8 chunk[kChunks];
};

__device__ inline int piece_offset(int chunk) { return chunk * 32 + threadIdx.x % 4 * 8; }

template <int Width>
__device__ HeadPieces<Width> load_head(const __nv_bfloat16* row, int head) {
  HeadPieces<Width> h;
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) {
    h.chunk[c] = *reinterpret_cast<const Bf16x8*>(row + head * Width + piece_offset(c));
  }
  return h;
}

template <int Width>
__device__ void store_head(const HeadPieces<Width>& h, __nv_bfloat16* to) {
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) *reinterpret_cast<Bf16x8*>(to + piece_offset(c)) = h.chunk[c];
}

// `bias` is of a whole row, or null.
template <int Width>
__device__ void add_bias(HeadPieces<Width>& h, const void* bias, int head) {
  if (bias == nullptr) return;
  const HeadPieces<Width> b = load_head<Width>(static_cast<const __nv_bfloat16*>(bias), head);
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const float2 x = unpack(h.chunk[c].pair[p]);
      const float2 y = unpack(b.chunk[c].pair[p]);
      h.chunk[c].pair[p] = pack(x.x + y.x, x.y + y.y);
    }
  }
}

// RMS norm of the head. All lanes of a warp call it.
template <int Width>
__device__ void normalise(HeadPieces<Width>& h, const void* weight, float epsilon) {
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const float2 x = unpack(h.chunk[c].pair[p]);
      sum += x.x * x.x + x.y * x.y;
    }
  }
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  sum += __shfl_xor_sync(kAllLanes, sum, 2);
  const float scale = rsqrtf(sum / Width + epsilon);
  const HeadPieces<Width> w = load_head<Width>(static_cast<const __nv_bfloat16*>(weight), 0);
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const float2 x = unpack(h.chunk[c].pair[p]);
      const float2 y = unpack(w.chunk[c].pair[p]);
      h.chunk[c].pair[p] = pack(x.x * scale * y.x, x.y * scale * y.y);
    }
  }
}

// Rotates pairs (i, i + Width / 2); `cos_sin` is [positions, Width / 2, 2].
template <int Width>
__device__ void rotate(HeadPieces<Width>& h, const float* cos_sin, int position) {
  constexpr int kHalf = HeadPieces<Width>::kChunks / 2;
  const auto* angles = reinterpret_cast<const float4*>(cos_sin + int64_t{position} * Width);
#pragma unroll
  for (int c = 0; c < kHalf; ++c) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const float4 a = angles[piece_offset(c) / 2 + p];  // Two pairs: cosine, sine, cosine, sine.
      const float2 x = unpack(h.chunk[c].pair[p]);
      const float2 y = unpack(h.chunk[c + kHalf].pair[p]);
      h.chunk[c].pair[p] = pack(x.x * a.x - y.x * a.y, x.y * a.z - y.y * a.w);
      h.chunk[c + kHalf].pair[p] = pack(y.x * a.x + x.x * a.y, y.y * a.z + x.y * a.w);
    }
  }
}

}  // namespace spillway::kernels
