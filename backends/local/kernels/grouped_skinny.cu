// Products of groups that have up to 8 rows each, or none: weights stream as for a linear layer of
// few tokens (row_stream.cuh). Groups without rows cost nothing, as only so many are started as can
// have some.
#include "backends/local/kernels/expert_kernels.h"
#include "backends/local/kernels/row_stream.cuh"

namespace spillway::kernels {
namespace {

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

template <int Tiles, int Warps>
__device__ void finish(const GroupedSkinny& args, const Group& group,
                       const Scratch<Tiles, Warps>& scratch) {
  const GroupedLinear& product = args.product;
  const int rows = product.silu_mul ? kRows : Tiles * kRows;
  for (int i = threadIdx.x; i < rows * group.count; i += Warps * kWarp) {
    const int token = i / rows;
    const int row = i % rows;
    const float scale =
        args.norm_weight ? scratch.inverse_rms(product.k, args.epsilon, token) : 1.0f;
    float value = scale * scratch.total(row, token);
    if (product.silu_mul) value = silu(value) * scale * scratch.total(row + kRows, token);
    auto* const to = static_cast<__nv_bfloat16*>(product.out) + group.index * product.out_group +
                     row_of(product, group, token) * product.out_stride;
    to[blockIdx.x * rows + row] = __float2bfloat16(value);
  }
}

template <int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
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
  using Rows = RowStream<kBf16, Tiles, Loads, LoadsX>;
  const Slice slice = slice_of(product.k / Rows::kChunk, threadIdx.x / kWarp, Warps);
  const int rows = product.silu_mul ? 2 * product.n : product.n;
  const auto* weight =
      static_cast<const __nv_bfloat16*>(product.weight) + int64_t{group.index} * rows * product.k;
  Rows stream(weight, nullptr, product.k, first_row, rows, slice);
  if (!listed) wait_for_earlier_kernels();
  stream.run(x_of(product, group, threadIdx.x % kWarp / 4), args.norm_weight);
  scratch.put(stream);
  __syncthreads();
  finish(args, group, scratch);
}

template <int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
int enqueue(const GroupedSkinny& args, Stream stream) {
  const GroupedLinear& product = args.product;
  const int rows = product.silu_mul ? kRows : Tiles * kRows;
  const bool few = product.lists && product.rows_listed < product.groups;
  LaunchShape shape;
  shape.grid = dim3(product.n / rows, few ? product.rows_listed : product.groups);
  shape.block = dim3(Warps * kWarp);
  return launch(grouped_skinny<Tiles, Warps, Loads, LoadsX, Blocks>, shape, stream, args);
}

}  // namespace

extern "C" int spillway_grouped_skinny(const GroupedSkinny* args, Stream stream) {
  const GroupedLinear& product = args->product;
  const bool supported = product.n % kRows == 0 && product.k % 32 == 0 &&
                         product.rows <= kSkinnyTokensMax && product.groups <= kExpertsMax;
  if (!supported) return cudaErrorInvalidValue;
  if (product.rows == 0) return cudaSuccess;
  constexpr int kShort = 512;  // k of which a warp has few chunks.
  if (product.silu_mul) return enqueue<2, 4, 16, 4, 4>(*args, stream);
  if (product.k <= kShort) return enqueue<1, 4, 8, 2, 4>(*args, stream);
  return enqueue<1, 8, 8, 2, 3>(*args, stream);
}

}  // namespace spillway::kernels
