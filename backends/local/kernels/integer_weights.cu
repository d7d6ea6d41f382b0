// Weights to integers of 8 or 4 bits, and back to bf16 for products of many tokens.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/integer_weights.cuh"
#include "backends/local/kernels/kernels.h"
#include "backends/local/quantize/integer_codes.h"

namespace spillway::kernels {
namespace {

namespace quantize = local::quantize;

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

// A warp a row.
__global__ void __launch_bounds__(kThreads) pack_int8(PackWeights args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x * kWarps + threadIdx.x / kWarp;
  if (row >= args.rows) return;
  const int lane = threadIdx.x % kWarp;
  const auto* from = static_cast<const __nv_bfloat16*>(args.weights) + int64_t{row} * args.columns;
  float largest = 0.0f;
  for (int i = lane; i < args.columns; i += kWarp) {
    largest = fmaxf(largest, fabsf(__bfloat162float(from[i])));
  }
  const float scale = quantize::int8_scale(warp_max(largest));
  const int64_t at = args.first_row + row;
  auto* to = static_cast<int8_t*>(args.out) + at * args.columns;
  for (int i = lane; i < args.columns; i += kWarp) {
    to[i] = static_cast<int8_t>(quantize::int8_code(__bfloat162float(from[i]), scale));
  }
  if (lane == 0) static_cast<float*>(args.scales)[at] = scale;
}

// Of a group, of which each lane has four weights.
__device__ float group_scale(const float (&v)[4], float smallest, float largest) {
  for (int grid = 0; grid < quantize::kInt4Grids; ++grid) {
    const float scale = quantize::int4_grid(smallest, largest, grid);
    float off = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) off = fmaxf(off, quantize::int4_distance(v[i], scale));
    if (warp_max(off) <= quantize::kOnInt4Grid) return scale;
  }
  return quantize::int4_scale(smallest, largest);
}

// A warp a group: each lane has four weights, two lanes make a word.
__global__ void __launch_bounds__(kThreads) pack_int4(PackWeights args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int groups = groups_of(args.columns);
  const int64_t unit = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (unit >= int64_t{args.rows} * groups) return;
  const int64_t row = unit / groups;
  const int group = static_cast<int>(unit % groups);
  const int lane = threadIdx.x % kWarp;
  const int column = group * quantize::kInt4Group + lane * 4;
  const auto* from = static_cast<const __nv_bfloat16*>(args.weights) + row * args.columns + column;
  float v[4] = {};
  if (column < args.columns) {
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = __bfloat162float(from[i]);
  }
  const float largest = warp_max(fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3])));
  const float smallest = -warp_max(-fminf(fminf(v[0], v[1]), fminf(v[2], v[3])));
  const float scale = group_scale(v, smallest, largest);
  const int odd = lane % 2;  // Columns 4 to 7 of a word.
  uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int nibble = (2 * odd + i / 2) + i % 2 * 4;
    word |= static_cast<uint32_t>(quantize::int4_code(v[i], scale)) << (4 * nibble);
  }
  word |= __shfl_xor_sync(kAllLanes, word, 1);
  const int64_t to = args.first_row + row;
  const int64_t to_unit = to * groups + group;
  if (odd == 0) static_cast<uint32_t*>(args.out)[to_unit * (kWarp / 2) + lane / 2] = word;
  if (lane == 0) {
    static_cast<__nv_bfloat16*>(args.scales)[int64_t{group} * args.rows_in_all + to] =
        __float2bfloat16(scale);
  }
}

__device__ Bf16x8 scaled(const uint32_t (&pair)[4], float scale) {
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(pair[p]);
    out.pair[p] = pack(a.x * scale, a.y * scale);
  }
  return out;
}

template <int Format>
__device__ Bf16x8 widened_int4(const WidenWeights& args, int64_t row, int vector,
                               GroupWord<Format> group) {
  uint32_t pair[4];
  const int64_t words = int64_t{groups_of(args.columns)} * (quantize::kInt4Group / 8);
  widen_int4(static_cast<const uint32_t*>(args.weights)[row * words + vector], group.zeros(), pair);
  return scaled(pair, group.scale());
}

// Eight columns of a row.
__device__ Bf16x8 widened(const WidenWeights& args, int64_t row, int vector) {
  uint32_t pair[4];
  if (args.format == kInt8) {
    const auto* from = static_cast<const int8_t*>(args.weights) + row * args.columns;
    const uint2 eight = reinterpret_cast<const uint2*>(from)[vector];
    widen_int8(eight.x, reinterpret_cast<uint32_t (&)[2]>(pair[0]));
    widen_int8(eight.y, reinterpret_cast<uint32_t (&)[2]>(pair[2]));
    return scaled(pair, static_cast<const float*>(args.scales)[row]);
  }
  const int64_t group = vector * 8 / group_columns(args.format);
  const int64_t at = group * args.rows_in_all + row;
  return has_zeros(args.format)
             ? widened_int4(args, row, vector, GroupWord<kInt4Zeros>::at(args.scales, at))
             : widened_int4(args, row, vector, GroupWord<kInt4>::at(args.scales, at));
}

__global__ void __launch_bounds__(kThreads) widen(WidenWeights args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int vectors = args.columns / 8;
  const int64_t count = int64_t{args.rows} * vectors;
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    const int64_t row = args.first_row + i / vectors;
    static_cast<Bf16x8*>(args.out)[i] = widened(args, row, static_cast<int>(i % vectors));
  }
}

}  // namespace

extern "C" int spillway_pack_weights(const PackWeights* args, Stream stream) {
  const bool made = args->format == kInt8 || args->format == kInt4;
  if (!made || args->columns % 8 != 0) return cudaErrorInvalidValue;
  const int64_t units =
      args->format == kInt8 ? args->rows : int64_t{args->rows} * groups_of(args->columns);
  if (units == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>((units + kWarps - 1) / kWarps));
  shape.block = dim3(kThreads);
  PackWeights whole = *args;
  if (whole.rows_in_all == 0) whole.rows_in_all = whole.rows;
  return launch(whole.format == kInt8 ? pack_int8 : pack_int4, shape, stream, whole);
}

extern "C" int spillway_widen_weights(const WidenWeights* args, Stream stream) {
  constexpr int64_t kBlocksMax = 132 * 8;
  const bool is_integer = args->format == kInt8 || is_int4(args->format);
  if (!is_integer || args->columns % 8 != 0) return cudaErrorInvalidValue;
  const int64_t blocks = (int64_t{args->rows} * (args->columns / 8) + kThreads - 1) / kThreads;
  if (blocks == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks < kBlocksMax ? blocks : kBlocksMax));
  shape.block = dim3(kThreads);
  return launch(widen, shape, stream, *args);
}

}  // namespace spillway::kernels
