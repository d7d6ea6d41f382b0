// Attention of one token a sequence over paged keys and values (flash-decoding), on the tensor
// cores.
//
// A block serves one sequence, one kv head and up to 8 of its query heads; its warps take pages in
// turn. With keys as the 16 rows of an mma and heads as its 8 columns, S = K·Qᵀ and O = Vᵀ·Pᵀ: keys
// come straight from memory as fragments (sums over the head width may be taken in any order),
// values need only a byte permute, and P turns from result into operand by one 8×8 transpose. Both
// K and V of a page are in flight at once. The blocks that share a sequence's keys are a cluster,
// and merge through distributed shared memory.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/head_pieces.cuh"
#include "backends/local/kernels/kernels.h"

#include <cooperative_groups.h>

namespace spillway::kernels {
namespace {

namespace cg = cooperative_groups;

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kHeads = 8;       // Query heads a block serves.
constexpr int kSplitsMax = 16;  // The largest cluster that Hopper takes.
constexpr float kLog2E = 1.4426950408889634f;

struct HeadGroup {
  int row;
  int kv_head;
  int first;  // query head
  int count;
};

__device__ HeadGroup head_group(const DecodeAttention& args) {
  const int ratio = args.q_heads / args.kv_heads;
  const int groups = (ratio + kHeads - 1) / kHeads;
  const int kv_head = blockIdx.y / groups;
  const int offset = blockIdx.y % groups * kHeads;
  return {static_cast<int>(blockIdx.z), kv_head, kv_head * ratio + offset,
          min(kHeads, ratio - offset)};
}

__device__ uint32_t transpose_8x8(uint32_t row) {
  uint32_t out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(row));
  return out;
}

// One warp's running softmax over the pages it took. Lane 4g + t holds keys g and g + 8 of a page,
// and the heads 2t and 2t + 1 of everything it accumulates.
template <int Width>
class PageWalker {
 public:
  static constexpr int kChunks = Width / 32;  // 32 dimensions that 4 lanes load with 16 bytes each
  static constexpr int kTiles = Width / 16;   // 16 dimensions of O each
  static constexpr int kPieces = Width / 64;  // 16-byte pieces of a value row a lane holds

  __device__ PageWalker(const DecodeAttention& args, const HeadGroup& heads) : args_(args) {
    const int64_t page_elements = int64_t{kPageTokens} * Width;
    page_stride_ = page_elements * args.kv_heads;
    keys_ = static_cast<const __nv_bfloat16*>(args.keys) + heads.kv_head * page_elements;
    values_ = static_cast<const __nv_bfloat16*>(args.values) + heads.kv_head * page_elements;
    table_ = args.page_table + int64_t{heads.row} * args.page_stride;
    const auto* q = static_cast<const __nv_bfloat16*>(args.q) + heads.row * args.q_stride;
    const int lane = threadIdx.x % kWarp;
    q_ = {};
    if (lane / 4 < heads.count) q_ = load_head<Width>(q, heads.first + lane / 4);
  }

  // Turns the raw projections in place of the queries into queries.
  __device__ void prepare_queries(const DecodeAttention& args, const HeadGroup& heads,
                                  int position) {
    if (threadIdx.x % kWarp / 4 < heads.count) {
      const int head = heads.first + threadIdx.x % kWarp / 4;
      add_bias<Width>(q_, args.bias, head);
    }
    if (args.q_norm) normalise<Width>(q_, args.q_norm, args.norm_epsilon);
    rotate<Width>(q_, args.cos_sin, position);
  }

  // Takes pages first, first + kWarps, … below end; keys from `keys` on do not exist.
  __device__ void run(int first, int end, int keys) {
    if (first >= end) return;
    load_keys(table_[first], first, keys);
    load_values(table_[first], first, keys);
    for (int page = first; page < end; page += kWarps) {
      const int next = page + kWarps;
      const int next_page = next < end ? table_[next] : 0;
      float p[4];
      score(page, keys, p);
      if (next < end) load_keys(next_page, next, keys);
      accumulate(p);
      if (next < end) load_values(next_page, next, keys);
    }
  }

  float maximum[2] = {-INFINITY, -INFINITY};  // of heads 2t, 2t + 1, in units of log2
  float denominator[2] = {};                  // this lane's keys only
  float out[kTiles][4] = {};  // (dimension a, head 2t), (a, 2t + 1), (b, 2t), (b, 2t + 1)

 private:
  __device__ void load_keys(int page, int index, int keys) {
    const int lane = threadIdx.x % kWarp;
    const __nv_bfloat16* from = keys_ + page * page_stride_;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int key = lane / 4 + 8 * half;
      const bool exists = index * kPageTokens + key < keys;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        k_[half][c] = {};
        if (exists) k_[half][c] = load_once(from + key * Width + c * 32 + lane % 4 * 8);
      }
    }
  }

  // Keys beyond the last must be zeros, not whatever the page holds: 0 · NaN is NaN.
  __device__ void load_values(int page, int index, int keys) {
    const int lane = threadIdx.x % kWarp;
    const __nv_bfloat16* from = values_ + page * page_stride_;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = lane % 4 * 2 + i % 2 + i / 2 * 8;
      const bool exists = index * kPageTokens + key < keys;
#pragma unroll
      for (int piece = 0; piece < kPieces; ++piece) {
        v_[i][piece] = {};
        if (exists) v_[i][piece] = load_once(from + key * Width + piece * 64 + lane / 4 * 8);
      }
    }
  }

  // p = exp2(S - maximum) for keys g (heads 2t, 2t + 1) and g + 8, after everything before it was
  // rescaled.
  __device__ void score(int index, int keys, float (&p)[4]) {
    float s[4] = {};
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const Bf16x8& low = k_[0][c];
      const Bf16x8& high = k_[1][c];
      mma_16x8x16(s, low.pair[0], high.pair[0], low.pair[1], high.pair[1], q_.chunk[c].pair[0],
                  q_.chunk[c].pair[1]);
      mma_16x8x16(s, low.pair[2], high.pair[2], low.pair[3], high.pair[3], q_.chunk[c].pair[2],
                  q_.chunk[c].pair[3]);
    }
    const int key = index * kPageTokens + threadIdx.x % kWarp / 4;
    const float scale = args_.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < 4; ++i) s[i] = key + i / 2 * 8 < keys ? s[i] * scale : -INFINITY;
#pragma unroll
    for (int head = 0; head < 2; ++head) {
      float top = fmaxf(s[head], s[head + 2]);
#pragma unroll
      for (int offset = 4; offset < kWarp; offset *= 2) {
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, offset));
      }
      top = fmaxf(top, maximum[head]);  // Finite: a page that is taken has at least one key.
      const float shrink = exp2f(maximum[head] - top);
      maximum[head] = top;
      p[head] = exp2f(s[head] - top);
      p[head + 2] = exp2f(s[head + 2] - top);
      denominator[head] = denominator[head] * shrink + p[head] + p[head + 2];
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        out[tile][head] *= shrink;
        out[tile][head + 2] *= shrink;
      }
    }
  }

  __device__ void accumulate(const float (&p)[4]) {
    const uint32_t b0 = transpose_8x8(pack(p[0], p[1]));
    const uint32_t b1 = transpose_8x8(pack(p[2], p[3]));
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const uint32_t a0 = key_pair(0, tile, 0);
      const uint32_t a1 = key_pair(0, tile, 1);
      const uint32_t a2 = key_pair(2, tile, 0);
      const uint32_t a3 = key_pair(2, tile, 1);
      mma_16x8x16(out[tile], a0, a1, a2, a3, b0, b1);
    }
  }

  // Two keys' values of the dimension that row g (half 0) or g + 8 (half 1) of a tile stands for:
  // see dimension().
  __device__ uint32_t key_pair(int i, int tile, int half) const {
    const int piece = Width == 128 ? half : 0;
    const int element = Width == 128 ? tile : tile + 4 * half;
    const uint32_t low = v_[i][piece].pair[element / 2];
    const uint32_t high = v_[i + 1][piece].pair[element / 2];
    return __byte_perm(low, high, element % 2 == 0 ? 0x5410 : 0x7632);
  }

  const DecodeAttention& args_;
  const __nv_bfloat16* keys_;
  const __nv_bfloat16* values_;
  const int32_t* table_;
  int64_t page_stride_;
  HeadPieces<Width> q_;
  Bf16x8 k_[2][kChunks];
  Bf16x8 v_[4][kPieces];
};

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
    const int64_t line =
        (page * args.kv_heads + heads.kv_head) * kPageTokens + position % kPageTokens;
    if (threadIdx.x < 4) {
      store_head<Width>(key, static_cast<__nv_bfloat16*>(args.keys) + line * Width);
      store_head<Width>(value, static_cast<__nv_bfloat16*>(args.values) + line * Width);
    }
  }
  __syncthreads();
}

// The head dimension that row lane / 4 (+ 8 · half) of a tile of O stands for.
template <int Width>
__device__ int dimension(int tile, int half) {
  const int g = threadIdx.x % kWarp / 4;
  return Width == 128 ? half * 64 + g * 8 + tile : g * 8 + tile + 4 * half;
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

template <int Width>
__device__ void spill(PageWalker<Width>& walker, Partial<Width>& partial) {
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
    for (int i = 0; i < 2 * PageWalker<Width>::kTiles; ++i) {
      partial.out[warp][column][dimension<Width>(i / 2, i % 2)] =
          walker.out[i / 2][head + i % 2 * 2];
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

__device__ int portions_of_block(int splits) { return (kHeads + splits - 1) / splits; }

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
  const int portions = portions_of_block(args.splits);
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
  const int portions = portions_of_block(args.splits);
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

template <int Width>
__global__ void __launch_bounds__(kThreads, 4) decode_attention(DecodeAttention args) {
  __shared__ Partial<Width> partial;
  __shared__ Gathered gathered;
  let_next_kernel_start();
  const bool clustered = args.splits > 1;
  if (clustered) cg::this_cluster().barrier_arrive();  // Here I am: others may write to my memory.
  if (!args.beside_earlier) wait_for_earlier_kernels();
  const HeadGroup heads = head_group(args);
  const int keys = args.positions[heads.row] + 1;
  const int pages = (keys + kPageTokens - 1) / kPageTokens;
  const int split = blockIdx.x;
  PageWalker<Width> walker(args, heads);
  if (args.cos_sin && keys > 0) {
    walker.prepare_queries(args, heads, keys - 1);
    const bool has_last_page = split == args.splits - 1;
    if (has_last_page) append_token<Width>(args, heads, keys - 1);
  }
  const int end = pages * (split + 1) / args.splits;
  walker.run(pages * split / args.splits + threadIdx.x / kWarp, end, keys);
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

template <int Width>
int enqueue(const DecodeAttention& args, Stream stream) {
  const int groups = (args.q_heads / args.kv_heads + kHeads - 1) / kHeads;
  LaunchShape shape;
  shape.grid = dim3(args.splits, args.kv_heads * groups, args.rows);
  shape.block = dim3(kThreads);
  shape.cluster = dim3(args.splits);
  if (args.splits > 8) {  // A larger cluster than every device of the kind must take.
    const cudaError_t error = cudaFuncSetAttribute(
        decode_attention<Width>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    if (error != cudaSuccess) return error;
  }
  return launch(decode_attention<Width>, shape, stream, args);
}

}  // namespace

extern "C" int spillway_decode_attention(const DecodeAttention* args, Stream stream) {
  const bool power_of_two = args->splits >= 1 && (args->splits & (args->splits - 1)) == 0;
  const bool supported = power_of_two && args->splits <= kSplitsMax &&
                         args->q_heads % args->kv_heads == 0 &&
                         (args->head_width == 64 || args->head_width == 128);
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  return args->head_width == 64 ? enqueue<64>(*args, stream) : enqueue<128>(*args, stream);
}

}  // namespace spillway::kernels
