// Bias, q and k norm, rotation and KV append in one pass over the fused projection: one warp a head
// of a row.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kWarps = 4;

// Lane l owns the pairs l · Pairs … of a head; a pair is the two elements that a rotation mixes.
// Elements past the rotary width are paired with their neighbour and passed through.
template <int Width>
struct HeadSlice {
  static constexpr int kPairs = Width / 2 / kWarp;
  float first[kPairs];
  float second[kPairs];
};

struct PairAt {
  int first;
  int second;
};

__device__ PairAt pair_at(const RopeAppend& args, int pair) {
  const int half = args.rotary_width / 2;
  if (pair >= half || args.interleaved) return {2 * pair, 2 * pair + 1};
  return {pair, pair + half};
}

template <int Width>
__device__ HeadSlice<Width> load_head(const RopeAppend& args, const __nv_bfloat16* head,
                                      int offset) {
  HeadSlice<Width> h;
  const auto* bias = static_cast<const __nv_bfloat16*>(args.bias);
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const PairAt at = pair_at(args, (threadIdx.x % kWarp) * h.kPairs + i);
    h.first[i] = __bfloat162float(head[at.first]);
    h.second[i] = __bfloat162float(head[at.second]);
    if (bias) {
      h.first[i] += __bfloat162float(bias[offset + at.first]);
      h.second[i] += __bfloat162float(bias[offset + at.second]);
    }
  }
  return h;
}

template <int Width>
__device__ void normalise(const RopeAppend& args, HeadSlice<Width>& h, const void* norm) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) sum += h.first[i] * h.first[i] + h.second[i] * h.second[i];
  const float scale = rsqrtf(warp_sum(sum) / Width + args.norm_epsilon);
  const auto* weight = static_cast<const __nv_bfloat16*>(norm);
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const PairAt at = pair_at(args, (threadIdx.x % kWarp) * h.kPairs + i);
    h.first[i] *= scale * __bfloat162float(weight[at.first]);
    h.second[i] *= scale * __bfloat162float(weight[at.second]);
  }
}

template <int Width>
__device__ void rotate(const RopeAppend& args, HeadSlice<Width>& h, int position) {
  const int half = args.rotary_width / 2;
  const auto* angles = reinterpret_cast<const float2*>(args.cos_sin) + int64_t{position} * half;
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const int pair = (threadIdx.x % kWarp) * h.kPairs + i;
    if (pair >= half) continue;
    const float2 a = angles[pair];
    const float first = h.first[i] * a.x - h.second[i] * a.y;
    h.second[i] = h.second[i] * a.x + h.first[i] * a.y;
    h.first[i] = first;
  }
}

template <int Width>
__device__ void store_head(const RopeAppend& args, const HeadSlice<Width>& h, __nv_bfloat16* head) {
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const PairAt at = pair_at(args, (threadIdx.x % kWarp) * h.kPairs + i);
    head[at.first] = __float2bfloat16(h.first[i]);
    head[at.second] = __float2bfloat16(h.second[i]);
  }
}

__device__ __nv_bfloat16* cache_row(const RopeAppend& args, void* cache, int row, int kv_head,
                                    int position) {
  const int sequence = args.row_sequence ? args.row_sequence[row] : row;
  const int64_t page =
      args.page_table[int64_t{sequence} * args.page_stride + position / kPageTokens];
  const int64_t line = (page * args.kv_heads + kv_head) * kPageTokens + position % kPageTokens;
  return static_cast<__nv_bfloat16*>(cache) + line * args.head_width;
}

template <int Width>
__global__ void __launch_bounds__(kWarps* kWarp) rope_append(RopeAppend args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int heads = args.q_heads + 2 * args.kv_heads;
  const int head = blockIdx.y * kWarps + threadIdx.x / kWarp;
  const int row = blockIdx.x;
  const int position = args.positions[row];
  if (head >= heads || position < 0) return;
  auto* qkv = static_cast<__nv_bfloat16*>(args.qkv) + (int64_t{row} * heads + head) * Width;
  HeadSlice<Width> h = load_head<Width>(args, qkv, head * Width);
  const int kv_head = head - args.q_heads;
  if (kv_head >= args.kv_heads) {
    store_head(args, h, cache_row(args, args.values, row, kv_head - args.kv_heads, position));
    return;
  }
  const void* norm = kv_head < 0 ? args.q_norm : args.k_norm;
  if (norm) normalise(args, h, norm);
  rotate(args, h, position);
  store_head(args, h, kv_head < 0 ? qkv : cache_row(args, args.keys, row, kv_head, position));
}

}  // namespace

extern "C" int spillway_rope_append(const RopeAppend* args, Stream stream) {
  const bool supported = (args->head_width == 64 || args->head_width == 128) &&
                         args->rotary_width % 2 == 0 && args->rotary_width <= args->head_width;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  const int heads = args->q_heads + 2 * args->kv_heads;
  LaunchShape shape;
  shape.grid = dim3(args->rows, (heads + kWarps - 1) / kWarps);
  shape.block = dim3(kWarps * kWarp);
  return launch(args->head_width == 64 ? rope_append<64> : rope_append<128>, shape, stream, *args);
}

}  // namespace spillway::kernels
