// Bias, q and k norm, rotation and KV append in one pass over the fused projection.
//
// For pairs half a head apart and the whole head rotated, four lanes hold a head in 16-byte pieces,
// eight heads a warp; other conventions take rope_any.
#include "backends/local/kernels/attention_kernels.h"
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/head_pieces.cuh"
#include "backends/local/kernels/kv_pages.cuh"
#include "backends/local/kernels/rope_any.cuh"

namespace spillway::kernels {
namespace {

constexpr int kHeadsOfWarp = kWarp / 4;

enum class HeadKind { query, key, value };

__device__ HeadKind kind_of(const RopeAppend& args, int head) {
  if (head < args.q_heads) return HeadKind::query;
  return head < args.q_heads + args.kv_heads ? HeadKind::key : HeadKind::value;
}

// `h` as its kind wants it. All lanes of a warp call it.
template <int Width>
__device__ void prepare(const RopeAppend& args, HeadPieces<Width>& h, int head, int position) {
  const HeadKind kind = kind_of(args, head);
  add_bias<Width>(h, args.bias, head);
  if (args.q_norm) {
    HeadPieces<Width> normed = h;
    normalise<Width>(normed, kind == HeadKind::query ? args.q_norm : args.k_norm,
                     args.norm_epsilon);
    if (kind != HeadKind::value) h = normed;
  }
  if (kind != HeadKind::value) rotate<Width>(h, args.cos_sin, position);
}

// Queries go back to where they came from, keys and values to their pages.
template <int Width>
__device__ void store(const RopeAppend& args, const HeadPieces<Width>& h, float largest,
                      __nv_bfloat16* row_begin, int row, int head, int position) {
  const int kv_head = head - args.q_heads;
  switch (kind_of(args, head)) {
    case HeadKind::query: store_head<Width>(h, row_begin + head * Width); return;
    case HeadKind::key:
      store_line<Width>(h, largest, args.keys, args.key_scales,
                        line_of(args, row, kv_head, position));
      return;
    case HeadKind::value:
      store_line<Width>(h, largest, args.values, args.value_scales,
                        line_of(args, row, kv_head - args.kv_heads, position));
  }
}

template <int Width>
__global__ void __launch_bounds__(kRopeWarps* kWarp) rope_append(RopeAppend args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int heads = args.q_heads + 2 * args.kv_heads;
  const int groups = (heads + kHeadsOfWarp - 1) / kHeadsOfWarp;
  const int unit = blockIdx.x * kRopeWarps + threadIdx.x / kWarp;
  const int row = unit / groups;
  if (row >= args.rows) return;
  const int position = args.positions[row];
  if (position < 0) return;
  const int wanted = unit % groups * kHeadsOfWarp + threadIdx.x % kWarp / 4;
  const int head =
      min(wanted, heads - 1);  // Spare lanes do the last head again and keep it to themselves.
  auto* row_begin = static_cast<__nv_bfloat16*>(args.qkv) + int64_t{row} * heads * Width;
  HeadPieces<Width> h = load_head<Width>(row_begin, head);
  prepare<Width>(args, h, head, position);
  const float largest = args.key_scales ? largest_of_head<Width>(h) : 0.0f;
  if (wanted < heads) store<Width>(args, h, largest, row_begin, row, head, position);
}

template <int Width>
int enqueue(const RopeAppend& args, Stream stream) {
  const int heads = args.q_heads + 2 * args.kv_heads;
  LaunchShape shape;
  shape.block = dim3(kRopeWarps * kWarp);
  if (args.interleaved || args.rotary_width != Width) {
    if (args.key_scales) return cudaErrorInvalidValue;
    shape.grid = dim3(args.rows, (heads + kRopeWarps - 1) / kRopeWarps);
    return launch(rope_any<Width>, shape, stream, args);
  }
  const int64_t units = int64_t{args.rows} * ((heads + kHeadsOfWarp - 1) / kHeadsOfWarp);
  shape.grid = dim3(static_cast<unsigned>((units + kRopeWarps - 1) / kRopeWarps));
  return launch(rope_append<Width>, shape, stream, args);
}

}  // namespace

extern "C" int spillway_rope_append(const RopeAppend* args, Stream stream) {
  const bool supported = args->rotary_width % 2 == 0 && args->rotary_width <= args->head_width;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  switch (args->head_width) {
    case 64: return enqueue<64>(*args, stream);
    case 128: return enqueue<128>(*args, stream);
    case 256: return enqueue<256>(*args, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace spillway::kernels
