// One token a row from its logits, by one block a row or, where there are few rows, a cluster of
// blocks.
//
// A cut (top-k, top-p) is a threshold on the logit. It is found by radix selection over a
// fixed-point scale of -log2(p / p_max), with counts or fixed-point masses summed in integers, so
// the order of additions cannot change the result. The draw is an exponential race: argmin of
// Exp(1) / p over the tokens that are left, with one counter-based random number a token; it needs
// no sorted order and no normalisation.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"
#include "backends/local/kernels/row_summary.cuh"

#include <cooperative_groups.h>

namespace spillway::kernels {
namespace {

namespace cg = cooperative_groups;

constexpr int kBlocksMax = 8;  // Of a row.
constexpr int kGreedyThreads = 512;
constexpr int kThreads = 1024;  // Where tokens are drawn.
constexpr int kBins = 2048;
constexpr float kDepth = 40.0f;  // Tokens this many doublings below the likeliest do not count.
constexpr float kFixedPoint = 67108864.0f;  // 2²⁶ steps a doubling: kDepth of them fit 32 bits.
constexpr uint32_t kNoLimit = 0xffffffffu;

__device__ void publish(const Sample& args, int row, const RowSummary& summary, int token,
                        float logit) {
  args.token[row] = token;
  if (args.logprob) args.logprob[row] = summary.logprob(logit);
  if (args.slot && args.slot[row] >= 0) args.last_token[args.slot[row]] = token;
}

__device__ const float4* logits_of(const Sample& args, int row) {
  return reinterpret_cast<const float4*>(args.logits) + int64_t{row} * (args.vocabulary / 4);
}

// The summary of the whole row from those of its blocks, in every thread of all of them. `shared`
// is the cluster's.
__device__ RowSummary row_summary(RowSummary mine, RowSummary& shared) {
  mine = block_summary(mine);
  if (gridDim.y == 1) return mine;
  const auto cluster = cg::this_cluster();
  if (threadIdx.x == 0) shared = mine;
  cluster.sync();
  RowSummary all = *cluster.map_shared_rank(&shared, 0);
  for (unsigned rank = 1; rank < gridDim.y; ++rank)
    all.merge(*cluster.map_shared_rank(&shared, rank));
  cluster.sync();  // All have read; `shared` may change, or its block end.
  return all;
}

// One row as the drawing sees it.
struct Row {
  const float4* logits;
  int begin;  // This block's share, in vectors
  int end;
  float maximum;
  float scale;  // log2(e) / temperature

  __device__ float depth(float logit) const { return (maximum - logit) * scale; }
};

// Position on the fixed-point scale: 0 for the likeliest, larger for less likely.
__device__ bool scale_key(float depth, uint32_t& key) {
  if (!(depth < kDepth)) return false;
  key = static_cast<uint32_t>(depth * kFixedPoint);
  return true;
}

__device__ unsigned long long mass_of(float depth) {
  constexpr float kOne = 1099511627776.0f;  // 2⁴⁰
  return static_cast<unsigned long long>(exp2f(-depth) * kOne);
}

struct Histogram {
  unsigned long long bin[kBins];  // Of this block's share of the row.
  unsigned long long warp_total[kWarp];
  unsigned long long base;  // weight in front of the bins
  unsigned long long target;
  uint32_t prefix;
  bool found;
};

// A cut keeps the first keys with `count` tokens, or with `share` of the mass up to `limit`.
struct Cut {
  uint32_t limit;
  unsigned long long count;  // 0: by mass
  double share;
};

__device__ void fill(const Row& row, const Cut& cut, Histogram& h, int shift, int bits) {
  for (int i = threadIdx.x; i < kBins; i += kThreads) h.bin[i] = 0;
  __syncthreads();
  const uint32_t mask = (1u << bits) - 1;
  const bool all = shift + bits == 32;
  for (int i = row.begin + threadIdx.x; i < row.end; i += kThreads) {
    const float4 v = row.logits[i];
    const float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float depth = row.depth(values[j]);
      uint32_t key;
      if (!scale_key(depth, key) || key > cut.limit) continue;
      if (!all && key >> (shift + bits) != h.prefix) continue;
      atomicAdd(&h.bin[key >> shift & mask], cut.count ? 1ull : mass_of(depth));
    }
  }
}

// Waits for all blocks of the row.
__device__ void sync_row() {
  if (gridDim.y == 1) {
    __syncthreads();
  } else {
    cg::this_cluster().sync();
  }
}

// A bin, summed over the blocks of the row.
__device__ unsigned long long row_bin(Histogram& h, int bin) {
  if (gridDim.y == 1) return h.bin[bin];
  unsigned long long sum = 0;
  for (unsigned rank = 0; rank < gridDim.y; ++rank) {
    sum += cg::this_cluster().map_shared_rank(&h, rank)->bin[bin];
  }
  return sum;
}

__device__ unsigned long long warp_prefix(unsigned long long value) {
#pragma unroll
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const unsigned long long below = __shfl_up_sync(kAllLanes, value, offset);
    if (threadIdx.x % kWarp >= static_cast<unsigned>(offset)) value += below;
  }
  return value;
}

// Finds the bin in which the running weight reaches the target and appends it to the prefix; false
// if none does.
__device__ bool choose_bin(const Cut& cut, Histogram& h, bool first, int bits) {
  const unsigned long long low = row_bin(h, 2 * threadIdx.x);
  const unsigned long long high = row_bin(h, 2 * threadIdx.x + 1);
  const unsigned long long through_warp = warp_prefix(low + high);
  if (threadIdx.x % kWarp == kWarp - 1) h.warp_total[threadIdx.x / kWarp] = through_warp;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    const unsigned long long own = h.warp_total[threadIdx.x];
    const unsigned long long through = warp_prefix(own);
    h.warp_total[threadIdx.x] = through - own;
    if (threadIdx.x == kWarp - 1 && first) {
      h.target =
          cut.count
              ? cut.count
              : static_cast<unsigned long long>(ceil(cut.share * static_cast<double>(through)));
    }
  }
  __syncthreads();
  const unsigned long long before =
      h.base + h.warp_total[threadIdx.x / kWarp] + through_warp - low - high;
  const unsigned long long target = h.target;
  const uint32_t prefix = h.prefix;
  __syncthreads();
  if (before < target && before + low + high >= target) {
    const bool in_low = before + low >= target;
    h.base = in_low ? before : before + low;
    h.prefix = prefix << bits | (2 * threadIdx.x + (in_low ? 0 : 1));
    h.found = true;
  }
  __syncthreads();
  const bool found = h.found;
  sync_row();  // Everyone has read; the bins may be cleared.
  return found;
}

// The last key that stays, or cut.limit if the target is never reached.
__device__ uint32_t select(const Row& row, const Cut& cut, Histogram& h) {
  constexpr int kShift[3] = {21, 10, 0};
  constexpr int kBits[3] = {11, 11, 10};
  __syncthreads();  // The previous selection's prefix has been read.
  if (threadIdx.x == 0) {
    h.base = 0;
    h.prefix = 0;
    h.target = 0;
  }
#pragma unroll 1
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == 0) h.found = false;
    fill(row, cut, h, kShift[round], kBits[round]);
    sync_row();
    if (!choose_bin(cut, h, round == 0, kBits[round])) return cut.limit;
  }
  return h.prefix;
}

// Philox 4×32, 10 rounds: four random words of (seed, counter).
__device__ uint4 philox(uint64_t seed, uint32_t position, uint32_t block) {
  uint4 c = {block, position, 0, 0};
  uint32_t k0 = static_cast<uint32_t>(seed);
  uint32_t k1 = static_cast<uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c.x);
    const uint32_t low0 = 0xD2511F53u * c.x;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c.z);
    const uint32_t low1 = 0xCD9E8D57u * c.z;
    c = {high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// log2 of p over an Exp(1) variate; the largest wins. The variate is exact where it is small, which
// is where races are decided.
__device__ float race(float depth, uint32_t random) {
  const float uniform = (static_cast<float>(random) + 0.5f) * 0x1p-32f;
  return -depth - log2f(-log1pf(-uniform));
}

// The best of this block's share; only maximum and index count.
__device__ RowSummary draw(const Row& row, uint32_t limit, uint64_t seed, int position) {
  RowSummary best;
  for (int i = row.begin + threadIdx.x; i < row.end; i += kThreads) {
    const float4 v = row.logits[i];
    const float values[4] = {v.x, v.y, v.z, v.w};
    const uint4 random = philox(seed, static_cast<uint32_t>(position), static_cast<uint32_t>(i));
    const uint32_t words[4] = {random.x, random.y, random.z, random.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float depth = row.depth(values[j]);
      uint32_t key = 0;
      if (limit != kNoLimit && (!scale_key(depth, key) || key > limit)) continue;
      const float score = race(depth, words[j]);
      if (score > best.maximum) {
        best.maximum = score;
        best.index = 4 * i + j;
      }
    }
  }
  return best;
}

// The last key that the row's cuts keep.
__device__ uint32_t cut_of(const Sample& args, int at, const Row& row, Histogram& histogram) {
  Cut cut = {kNoLimit, 0, 1.0};
  const int top_k = args.top_k ? args.top_k[at] : 0;
  const float top_p = args.top_p ? args.top_p[at] : 1.0f;
  if (top_k > 0 && top_k < args.vocabulary) {
    cut.count = static_cast<unsigned long long>(top_k);
    cut.limit = select(row, cut, histogram);
    cut.count = 0;
  }
  if (top_p < 1.0f) {
    cut.share = fmaxf(top_p, 0.0f);
    cut.limit = select(row, cut, histogram);
  }
  return cut.limit;
}

// Drawing needs the histogram, greedy choice does not: two kernels of one text.
template <bool Drawing>
__global__ void __launch_bounds__(Drawing ? kThreads : kGreedyThreads, 1) sample_rows(Sample args) {
  __shared__ RowSummary shared;
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int at = blockIdx.x;
  const int vectors = args.vocabulary / 4;
  const auto begin = static_cast<int>(int64_t{vectors} * blockIdx.y / gridDim.y);
  const auto end = static_cast<int>(int64_t{vectors} * (blockIdx.y + 1) / gridDim.y);
  Row row = {logits_of(args, at), begin, end, 0.0f, 0.0f};
  const RowSummary summary =
      row_summary(summarise(row.logits, begin, end, threadIdx.x, blockDim.x), shared);
  int token = summary.index;
  if constexpr (Drawing) {
    __shared__ Histogram histogram;
    const float temperature = args.temperature[at];
    if (temperature > 0.0f) {
      row.maximum = summary.maximum;
      row.scale = kLog2E / temperature;
      const uint32_t limit = cut_of(args, at, row, histogram);
      __syncthreads();
      token = row_summary(draw(row, limit, args.seed[at], args.counter[at]), shared).index;
    }
  }
  if (threadIdx.x == 0 && blockIdx.y == 0) {
    publish(args, at, summary, token, args.logits[int64_t{at} * args.vocabulary + token]);
  }
}

}  // namespace

extern "C" int spillway_sample(const Sample* args, Stream stream) {
  constexpr int kRowsToFill = 16;  // Up to here a cluster a row still fits the chip at once.
  if (args->vocabulary % 4 != 0) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  const bool greedy = args->temperature == nullptr;
  const int blocks = greedy || args->rows <= kRowsToFill ? kBlocksMax : 1;
  LaunchShape shape;
  shape.grid = dim3(args->rows, blocks);
  shape.block = dim3(greedy ? kGreedyThreads : kThreads);
  shape.cluster = dim3(1, blocks);
  return launch(greedy ? sample_rows<false> : sample_rows<true>, shape, stream, *args);
}

}  // namespace spillway::kernels
