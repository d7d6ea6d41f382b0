// Attention of one token a sequence over paged keys and values (flash-decoding), on the tensor
// cores.
//
// A block serves one sequence, one kv head and up to 8 of its query heads; its warps take pages in
// turn (page_walker.cuh). The blocks that share a sequence's keys are a cluster, and merge through
// distributed shared memory.
#include "backends/local/kernels/page_walker.cuh"

#include <cooperative_groups.h>

namespace spillway::kernels {
namespace {

namespace cg = cooperative_groups;

constexpr int kSplitsMax = 16;  // The largest cluster that Hopper takes.

// Makes key and value of the sequence's newest token and writes them to their page; the whole block
// may read them afterwards. One warp does it, with four lanes that count.
template <int Width>
__device__ void append_token(const DecodeAttention& args, const HeadGroup& heads, int position) {
  if (threadIdx.x < kWarp) {
    const int k_head = args.q_heads + heads.kv_head;
    const auto* row = static_cast<const __nv_bfloat16*>(args.q) + heads.row * args.q_stride;
    HeadPieces<Width> key = load_head<Width>(row, k_head);
    add_bias<Width>(key, args.bias, k_head);
    if (args.k_norm) normalise<Width>(key, args.k_norm, args.norm_epsilon);
    rotate<Width>(key, args.cos_sin, position);
    HeadPieces<Width> value = load_head<Width>(row, k_head + args.kv_heads);
    add_bias<Width>(value, args.bias, k_head + args.kv_heads);
    const int64_t page =
        args.page_table[int64_t{heads.row} * args.page_stride + position / kPageTokens];
    const int64_t line = page_line(page, args.kv_heads, heads.kv_head, position);
    const bool e4m3 = args.key_scales != nullptr;
    const float largest_key = e4m3 ? largest_of_head<Width>(key) : 0.0f;
    const float largest_value = e4m3 ? largest_of_head<Width>(value) : 0.0f;
    if (threadIdx.x < 4) {
      store_line<Width>(key, largest_key, args.keys, args.key_scales, line);
      store_line<Width>(value, largest_value, args.values, args.value_scales, line);
    }
  }
  __syncthreads();
}

// The head dimension that row lane / 4 (+ 8 · half) of a tile of O stands for.
template <int Width>
__device__ int dimension(int tile, int half) {
  const int g = threadIdx.x % kWarp / 4;
  return Width == 64 ? g * 8 + tile + 4 * half : (half + tile / 8 * 2) * 64 + g * 8 + tile % 8;
}

// What the warps of a block found, and how to weigh it.
template <int Width>
struct Partial {
  // Padded: the lanes of a warp write 8 dimensions × 4 heads at once.
  float out[kWarps][kHeads][Width + 1];
  float maximum[kWarps][kHeads];
  float denominator[kWarps][kHeads];
  float weight[kWarps][kHeads];
  float block_maximum[kHeads];
  float block_denominator[kHeads];
};

template <int Width, class Walker>
__device__ void spill(Walker& walker, Partial<Width>& partial) {
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
#pragma unroll
  for (int head = 0; head < 2; ++head) {
    float sum = walker.denominator[head];
#pragma unroll
    for (int offset = 4; offset < kWarp; offset *= 2) {
      sum += __shfl_xor_sync(kAllLanes, sum, offset);
    }
    const int column = lane % 4 * 2 + head;
    if (lane < 4) {
      partial.maximum[warp][column] = walker.maximum[head];
      partial.denominator[warp][column] = sum;
    }
#pragma unroll
    for (int i = 0; i < 2 * Walker::kTiles; ++i) {
      partial.out[warp][column][dimension<Width>(i / 2, i % 2)] =
          walker.out[i / 2][head + i % 2 * 2] * Walker::kUnlift;
    }
  }
}

// Weight of a part of the keys whose maximum is `part` where the whole has `whole`; parts without
// keys have none.
__device__ float part_weight(float part, float whole) {
  return part == -INFINITY ? 0.0f : exp2f(part - whole);
}

template <int Width>
__device__ void weigh_warps(Partial<Width>& partial) {
  const int head = threadIdx.x;
  if (head >= kHeads) return;
  float whole = -INFINITY;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) whole = fmaxf(whole, partial.maximum[warp][head]);
  float denominator = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) {
    const float weight = part_weight(partial.maximum[warp][head], whole);
    partial.weight[warp][head] = weight;
    denominator += weight * partial.denominator[warp][head];
  }
  partial.block_maximum[head] = whole;
  partial.block_denominator[head] = denominator;
}

__device__ __nv_bfloat16* output(const DecodeAttention& args, int row, int head) {
  return static_cast<__nv_bfloat16*>(args.out) +
         (int64_t{row} * args.q_heads + head) * args.head_width;
}

// Results of a cluster's blocks, sent to the block that merges them. Outputs go round the blocks in
// portions of kThreads.
struct Gathered {
  float sums[kSplitsMax * kThreads];  // [split][portion of this block][thread]
  float maximum[kSplitsMax][kHeads];
  float denominator[kSplitsMax][kHeads];
};

template <int Width>
__device__ int portions_of_block(int splits) {
  constexpr int kPortions = kHeads * Width / kThreads;
  static_assert(kPortions <= kSplitsMax);
  return (kPortions + splits - 1) / splits;
}

// Output i of a block: what its own keys add to it.
template <int Width>
__device__ float block_sum(const Partial<Width>& partial, int i) {
  const int head = i / Width;
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) {
    sum += partial.weight[warp][head] * partial.out[warp][head][i % Width];
  }
  return sum;
}

template <int Width>
__device__ void store_whole(const DecodeAttention& args, const HeadGroup& heads,
                            const Partial<Width>& partial) {
  for (int i = threadIdx.x; i < heads.count * Width; i += kThreads) {
    const float denominator = partial.block_denominator[i / Width];
    const float value = denominator > 0.0f ? block_sum(partial, i) / denominator : 0.0f;
    output(args, heads.row, heads.first)[i] = __float2bfloat16(value);
  }
}

// Every block tells all others how to weigh it, and sends each its portions. Requires: the whole
// cluster runs.
template <int Width>
__device__ void send(const DecodeAttention& args, const HeadGroup& heads,
                     const Partial<Width>& partial, Gathered& gathered) {
  const auto cluster = cg::this_cluster();
  const int split = blockIdx.x;
  for (int i = threadIdx.x; i < args.splits * kHeads; i += kThreads) {
    Gathered* to = cluster.map_shared_rank(&gathered, i / kHeads);
    to->maximum[split][i % kHeads] = partial.block_maximum[i % kHeads];
    to->denominator[split][i % kHeads] = partial.block_denominator[i % kHeads];
  }
  const int portions = portions_of_block<Width>(args.splits);
  for (int i = threadIdx.x, portion = 0; i < heads.count * Width; i += kThreads, ++portion) {
    Gathered* to = cluster.map_shared_rank(&gathered, portion % args.splits);
    const int at = split * portions + portion / args.splits;
    to->sums[at * kThreads + threadIdx.x] = block_sum(partial, i);
  }
}

// Merges the portions of this block from what all blocks sent.
template <int Width>
__device__ void merge(const DecodeAttention& args, const HeadGroup& heads,
                      const Gathered& gathered) {
  const int portions = portions_of_block<Width>(args.splits);
  int portion = 0;
  for (int i = blockIdx.x * kThreads + threadIdx.x; i < heads.count * Width;
       i += args.splits * kThreads, ++portion) {
    const int head = i / Width;
    float whole = -INFINITY;
    for (int split = 0; split < args.splits; ++split)
      whole = fmaxf(whole, gathered.maximum[split][head]);
    float sum = 0.0f;
    float denominator = 0.0f;
#pragma unroll 4
    for (int split = 0; split < args.splits; ++split) {
      const float weight = part_weight(gathered.maximum[split][head], whole);
      denominator += weight * gathered.denominator[split][head];
      sum += weight * gathered.sums[(split * portions + portion) * kThreads + threadIdx.x];
    }
    output(args, heads.row, heads.first)[i] =
        __float2bfloat16(denominator > 0.0f ? sum / denominator : 0.0f);
  }
}

// Blocks that a multiprocessor has the registers for.
template <int Width>
constexpr int kBlocksOf = Width == 256 ? 2 : 4;

template <int Width, bool E4m3, bool Narrowed>
__global__ void __launch_bounds__(kThreads, kBlocksOf<Width>)
    decode_attention(DecodeAttention args) {
  __shared__ Partial<Width> partial;
  __shared__ Gathered gathered;
  let_next_kernel_start();
  const bool clustered = args.splits > 1;
  if (clustered) cg::this_cluster().barrier_arrive();  // Here I am: others may write to my memory.
  if (!args.beside_earlier) wait_for_earlier_kernels();
  const HeadGroup heads = head_group(args);
  const int keys = args.positions[heads.row] + 1;
  const int first_key = Narrowed && args.window > 0 ? max(0, keys - args.window) : 0;
  const int first_page = first_key / kPageTokens;
  const int pages = (keys + kPageTokens - 1) / kPageTokens - first_page;
  const int split = blockIdx.x;
  PageWalker<Width, E4m3, Narrowed> walker(args, heads);
  if (args.cos_sin && keys > 0) {
    walker.prepare_queries(args, heads, keys - 1);
    const bool has_last_page = split == args.splits - 1;
    if (has_last_page) append_token<Width>(args, heads, keys - 1);
  }
  const int begin = first_page + pages * split / args.splits;
  const int end = first_page + pages * (split + 1) / args.splits;
  walker.run(begin + threadIdx.x / kWarp, end, keys, first_key);
  spill(walker, partial);
  __syncthreads();
  weigh_warps(partial);
  __syncthreads();
  if (clustered) {
    cg::this_cluster().barrier_wait();
    send(args, heads, partial, gathered);
    cg::this_cluster().sync();
    merge<Width>(args, heads, gathered);
  } else {
    store_whole(args, heads, partial);
  }
  if (args.beside_earlier) wait_for_earlier_kernels();
}

template <int Width, bool E4m3, bool Narrowed>
int enqueue(const DecodeAttention& args, Stream stream) {
  const int groups = (args.q_heads / args.kv_heads + kHeads - 1) / kHeads;
  LaunchShape shape;
  shape.grid = dim3(args.splits, args.kv_heads * groups, args.rows);
  shape.block = dim3(kThreads);
  shape.cluster = dim3(args.splits);
  if (args.splits > 8) {  // A larger cluster than every device of the kind must take.
    const cudaError_t error = cudaFuncSetAttribute(
        decode_attention<Width, E4m3, Narrowed>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    if (error != cudaSuccess) return error;
  }
  return launch(decode_attention<Width, E4m3, Narrowed>, shape, stream, args);
}

// Heads of 256 are Gemma's, most of whose layers have a window.
template <bool E4m3>
int enqueue(const DecodeAttention& args, Stream stream) {
  const bool narrowed = args.window > 0 || args.score_cap > 0.0f;
  switch (args.head_width) {
    case 64:
      return narrowed ? enqueue<64, E4m3, true>(args, stream)
                      : enqueue<64, E4m3, false>(args, stream);
    case 128:
      return narrowed ? enqueue<128, E4m3, true>(args, stream)
                      : enqueue<128, E4m3, false>(args, stream);
    case 256: return enqueue<256, E4m3, true>(args, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace

extern "C" int spillway_decode_attention(const DecodeAttention* args, Stream stream) {
  const bool power_of_two = args->splits >= 1 && (args->splits & (args->splits - 1)) == 0;
  const bool supported =
      power_of_two && args->splits <= kSplitsMax && args->q_heads % args->kv_heads == 0;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  return args->key_scales ? enqueue<true>(*args, stream) : enqueue<false>(*args, stream);
}

}  // namespace spillway::kernels
