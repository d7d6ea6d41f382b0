// Log probabilities of a row's token and of the likeliest ones, one block a row.
//
// A row is read once: each thread sums its share and knows the largest of it. The k-th largest of
// these is a bound below which none of the k likeliest lies, and only k threads have anything above
// it: they look at their shares again, and what they find is ranked by comparing all with all.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/row_summary.cuh"
#include "backends/local/kernels/score_kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kThreads = 1024;

using Key = unsigned long long;

// In the order of the logits, for equals in that of falling ids; above 0, and different for each.
__device__ Key key_of(float logit, int index) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);  // -0 becomes 0.
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return Key{ordered} << 32 | ~static_cast<uint32_t>(index);
}

__device__ int index_of(Key key) { return static_cast<int>(~static_cast<uint32_t>(key)); }

// Of this thread's share; 0 if that is empty.
__device__ Key largest_key(const RowSummary& mine, int vectors) {
  if (static_cast<int>(threadIdx.x) >= vectors) return 0;
  const int first = 4 * static_cast<int>(threadIdx.x);  // Where all are -∞ the summary names none.
  return key_of(mine.maximum, mine.maximum == -INFINITY ? first : mine.index);
}

// The `rank`-th largest (from 1) of what the threads have; 0 if fewer have anything.
__device__ Key ranked_key(Key mine, int rank) {
  Key found = 0;
#pragma unroll 1
  for (int bit = 63; bit >= 0; --bit) {
    const Key higher = found | Key{1} << bit;
    if (__syncthreads_count(mine >= higher) >= rank) found = higher;
  }
  return found;
}

// How many keys of this thread's share are larger.
__device__ int larger_keys(const float4* logits, int vectors, Key than) {
  int larger = 0;
  for (int i = threadIdx.x; i < vectors; i += kThreads) {
    const float4 v = logits[i];
    const float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) larger += key_of(values[j], 4 * i + j) > than ? 1 : 0;
  }
  return larger;
}

struct Candidates {
  int count;
  Key* keys;  // [kLikeliestMax · elements of a thread]

  __device__ void gather(const float4* logits, int vectors, Key least) {
    for (int i = threadIdx.x; i < vectors; i += kThreads) {
      const float4 v = logits[i];
      const float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const Key key = key_of(values[j], 4 * i + j);
        if (key >= least) keys[atomicAdd(&count, 1)] = key;
      }
    }
  }

  __device__ int rank_of(Key key) const {
    int larger = 0;
    for (int i = 0; i < count; ++i) larger += keys[i] > key ? 1 : 0;
    return larger;
  }
};

__global__ void __launch_bounds__(kThreads, 1) score_rows(ScoreRows args) {
  extern __shared__ Key room[];
  __shared__ Candidates candidates;
  __shared__ int likelier;  // Than the row's token.
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x;
  const int wanted = args.wanted[row];
  if (wanted < 0) return;
  const float* const logits = args.logits + int64_t{row} * args.vocabulary;
  const auto* const vectors = reinterpret_cast<const float4*>(logits);
  const int count = args.vocabulary / 4;
  const RowSummary mine = summarise(vectors, 0, count, threadIdx.x, kThreads);
  const RowSummary all = block_summary(mine);
  TokenScore* const scores = args.scores + int64_t{row} * (1 + kLikeliestMax);
  const int token = args.given[row] >= 0 ? args.given[row] : args.drawn[row];
  if (threadIdx.x == 0) {
    candidates = {0, room};
    likelier = 0;
  }
  __syncthreads();
  const int larger = larger_keys(vectors, count, key_of(logits[token], token));
  if (larger > 0) atomicAdd(&likelier, larger);
  __syncthreads();
  if (threadIdx.x == 0) scores[0] = {token, all.logprob(logits[token]), 1 + likelier};
  if (wanted == 0) return;
  const Key largest = largest_key(mine, count);
  const Key least = ranked_key(largest, wanted);
  if (largest >= least) candidates.gather(vectors, count, least);
  __syncthreads();
  for (int i = threadIdx.x; i < candidates.count; i += kThreads) {
    const Key key = candidates.keys[i];
    const int rank = candidates.rank_of(key);
    if (rank < wanted)
      scores[1 + rank] = {index_of(key), all.logprob(logits[index_of(key)]), 1 + rank};
  }
}

}  // namespace

extern "C" int spillway_score_rows(const ScoreRows* args, Stream stream) {
  if (args->vocabulary % 4 != 0) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  const int vectors_each = (args->vocabulary / 4 + kThreads - 1) / kThreads;
  LaunchShape shape;
  shape.grid = dim3(args->rows);
  shape.block = dim3(kThreads);
  shape.shared_bytes = kLikeliestMax * 4 * vectors_each * static_cast<int>(sizeof(Key));
  const int error = allow_shared(score_rows, shape.shared_bytes);
  return error ? error : launch(score_rows, shape, stream, *args);
}

}  // namespace spillway::kernels
