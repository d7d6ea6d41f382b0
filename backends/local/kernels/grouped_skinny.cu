// Products of groups that have up to 8 rows each, or none: weights stream as for a linear layer of
// few tokens (row_stream.cuh). Groups without rows cost nothing, as only so many are started as can
// have some.
#include "backends/local/kernels/expert_kernels.h"
#include "backends/local/kernels/row_stream.cuh"

namespace spillway::kernels {
namespace {

constexpr int kInt4ScaleBytes = 2;

__device__ int rows_of_group(const GroupedLinear& args) {  // Of weights.
  return args.silu_mul ? 2 * args.n : args.n;
}

// What a block works for.
struct Group {
  int index;
  int count;  // of rows; 0: the block has nothing to do
};

// The group number `wanted` among those with rows. All lanes of a warp call it.
__device__ Group group_with_rows(const GroupedLinear& args, int wanted) {
  if (!args.lists) return {wanted, args.rows};
  const int lane = threadIdx.x % kWarp;
  for (int base = 0; base < args.groups; base += kWarp) {
    const int count = base + lane < args.groups ? args.counts[base + lane] : 0;
    unsigned some = __ballot_sync(kAllLanes, count > 0);
    const int found = __popc(some);
    if (wanted >= found) {
      wanted -= found;
      continue;
    }
    for (; wanted > 0; --wanted) some &= some - 1;
    const int at = __ffs(some) - 1;
    return {base + at, __shfl_sync(kAllLanes, count, at)};
  }
  return {0, 0};
}

__device__ int row_of(const GroupedLinear& args, const Group& group, int token) {
  return args.lists ? args.lists[int64_t{group.index} * args.list_stride + token] : token;
}

__device__ const __nv_bfloat16* x_of(const GroupedLinear& args, const Group& group, int token) {
  if (token >= group.count) return nullptr;
  return static_cast<const __nv_bfloat16*>(args.x) + group.index * args.x_group +
         row_of(args, group, token) / args.x_share * args.x_stride;
}

template <int Format, int Tiles, int Warps>
__device__ void finish(const GroupedSkinny& args, const Group& group,
                       const Scratch<Tiles, Warps>& scratch) {
  const GroupedLinear& product = args.product;
  const int rows = product.silu_mul ? kRows : Tiles * kRows;
  for (int i = threadIdx.x; i < rows * group.count; i += Warps * kWarp) {
    const int token = i / rows;
    const int row = i % rows;
    const float scale =
        args.norm_weight ? scratch.inverse_rms(product.k, args.epsilon, token) : 1.0f;
    const int64_t weight_row =
        int64_t{group.index} * rows_of_group(product) + blockIdx.x * rows + row;
    float value = scale * row_scale<Format>(product.scales, weight_row) * scratch.total(row, token);
    if (product.silu_mul) {
      const float up = row_scale<Format>(product.scales, weight_row + product.n);
      value = silu(value) * scale * up * scratch.total(row + kRows, token);
    }
    auto* const to = static_cast<__nv_bfloat16*>(product.out) + group.index * product.out_group +
                     row_of(product, group, token) * product.out_stride;
    to[blockIdx.x * rows + row] = __float2bfloat16(value);
  }
}

template <int Format, int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
__global__ void __launch_bounds__(Warps* kWarp, Blocks) grouped_skinny(GroupedSkinny args) {
  __shared__ Scratch<Tiles, Warps> scratch;
  const GroupedLinear& product = args.product;
  let_next_kernel_start();
  const bool listed = product.lists != nullptr;
  if (listed) wait_for_earlier_kernels();
  const Group group = group_with_rows(product, blockIdx.y);
  if (group.count == 0) return;
  int first_row[Tiles];
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
    first_row[tile] = product.silu_mul ? blockIdx.x * kRows + tile * product.n
                                       : (blockIdx.x * Tiles + tile) * kRows;
  }
  using Rows = RowStream<Format, Tiles, Loads, LoadsX>;
  const int chunks = (product.k + Rows::kChunk - 1) / Rows::kChunk;
  const Slice slice = slice_of(chunks, threadIdx.x / kWarp, Warps);
  const int64_t before = int64_t{group.index} * rows_of_group(product);  // Rows of other groups.
  const auto* weight =
      static_cast<const char*>(product.weight) + before * row_bytes_of<Format>(product.k);
  const auto* scales = static_cast<const char*>(product.scales) + before * kInt4ScaleBytes;
  Rows stream(weight, is_int4(Format) ? scales : nullptr, product.k, first_row,
              product.groups * rows_of_group(product), slice);
  if (!listed) wait_for_earlier_kernels();
  stream.run(x_of(product, group, threadIdx.x % kWarp / 4), args.norm_weight);
  scratch.put(stream);
  __syncthreads();
  finish<Format>(args, group, scratch);
}

template <int Format, int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
int enqueue(const GroupedSkinny& args, Stream stream) {
  const GroupedLinear& product = args.product;
  const int rows = product.silu_mul ? kRows : Tiles * kRows;
  const bool few = product.lists && product.rows_listed < product.groups;
  LaunchShape shape;
  shape.grid = dim3(product.n / rows, few ? product.rows_listed : product.groups);
  shape.block = dim3(Warps * kWarp);
  return launch(grouped_skinny<Format, Tiles, Warps, Loads, LoadsX, Blocks>, shape, stream, args);
}

int enqueue_bf16(const GroupedSkinny& args, Stream stream) {
  constexpr int kShort = 512;  // k of which a warp has few chunks.
  if (args.product.silu_mul) return enqueue<kBf16, 2, 4, 16, 4, 4>(args, stream);
  if (args.product.k <= kShort) return enqueue<kBf16, 1, 4, 8, 2, 4>(args, stream);
  return enqueue<kBf16, 1, 8, 8, 2, 3>(args, stream);
}

// Of E4M3 and int8: half as many chunks of k.
template <int Format>
int enqueue_bytes(const GroupedSkinny& args, Stream stream) {
  if (args.product.silu_mul) return enqueue<Format, 2, 4, 16, 4, 4>(args, stream);
  return enqueue<Format, 1, 4, 8, 4, 5>(args, stream);
}

}  // namespace

extern "C" int spillway_grouped_skinny(const GroupedSkinny* args, Stream stream) {
  const GroupedLinear& product = args->product;
  const bool bytes = product.format == kE4m3 || product.format == kInt8;
  const bool supported = product.n % kRows == 0 && product.k % (bytes ? 64 : 32) == 0 &&
                         product.rows <= kSkinnyTokensMax && product.groups <= kExpertsMax;
  if (!supported || (product.format != kBf16 && !product.lists)) return cudaErrorInvalidValue;
  if (product.rows == 0) return cudaSuccess;
  switch (product.format) {
    case kBf16: return enqueue_bf16(*args, stream);
    case kE4m3: return enqueue_bytes<kE4m3>(*args, stream);
    case kInt8: return enqueue_bytes<kInt8>(*args, stream);
    case kInt4:
      return product.silu_mul ? enqueue<kInt4, 2, 4, 8, 4, 4>(*args, stream)
                              : enqueue<kInt4, 1, 4, 4, 4, 5>(*args, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace spillway::kernels
