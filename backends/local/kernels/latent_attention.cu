// Attention of few tokens' heads to the lines of latent rows, on mma.sync: a line is key and, but
// for its rotated end, value of every head, so the heads of a token are the rows of one matrix.
//
// A block owns 16 heads and walks a part of the lines in tiles, two stages deep. Its warps share
// the scores by lines, meet in shared memory over the maxima and P, and share P · V by columns. The
// blocks of a token are a cluster and merge through distributed shared memory. Chunks and many
// tokens have kernels of their own (latent_forms.h).
#include "backends/local/kernels/latent_forms.h"
#include "backends/local/kernels/latent_outputs.cuh"

namespace spillway::kernels {
namespace {

template <class F>
__global__ void __launch_bounds__(F::kThreads) latent_attention(LatentAttention args) {
  extern __shared__ __align__(128) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<F>*>(raw);
  if (!args.beside_earlier) wait_for_earlier_kernels();
  let_next_kernel_start();  // Only now: the next may start with what this kernel had to wait for.
  const Work work = work_of_block(args, F::kRows);
  if (work.begin >= work.packed) {
    if (args.beside_earlier) wait_for_earlier_kernels();
    return;
  }
  const int all = (work.lines + F::kLines - 1) / F::kLines;
  const int begin = all * blockIdx.x / args.splits;
  const int end = all * (blockIdx.x + 1) / args.splits;
  copy_queries<F>(args, work, shared.q);
  if (begin < end) copy_lines<F>(args, work, begin, shared.lines[0]);
  close_copies();
  Scores<F> scores;
#pragma unroll
  for (int group = 0; group < F::kScoreGroups; ++group) {
    scores.maximum[group][0] = scores.maximum[group][1] = -INFINITY;
  }
  Outputs<F> outputs;
  const float scale = args.scale * kLog2E;
  for (int tile = begin; tile < end; ++tile) {
    wait_for_copies<0>();
    __syncthreads();  // The tile is there, and nobody reads the other stage or P any more.
    const auto& lines = shared.lines[(tile - begin) % kStages];
    if (tile + 1 < end)
      copy_lines<F>(args, work, tile + 1, shared.lines[(tile + 1 - begin) % kStages]);
    close_copies();
    scores.multiply_tile(shared.q, lines);
    scores.mask(work, tile * F::kLines, shared.maximum);
    __syncthreads();
    scores.soften(shared, scale);
    __syncthreads();
    outputs.take(shared, lines);
  }
  wait_for_copies<0>();
  __syncthreads();
  scores.leave_denominators(shared);
  __syncthreads();
  share(args, work, shared, outputs, scores, scale);
  if (args.beside_earlier) wait_for_earlier_kernels();
}

int enqueue_decodes(const LatentAttention& args, Stream stream) {
  using F = OneToken;
  LaunchShape shape;
  shape.grid = dim3(args.splits, (args.heads + F::kRows - 1) / F::kRows, args.chunks);
  shape.block = dim3(F::kThreads);
  shape.shared_bytes = sizeof(Shared<F>);
  shape.cluster = dim3(args.splits);
  const int error = allow_shared(latent_attention<F>, shape.shared_bytes);
  if (error) return error;
  if (args.splits > 8) {  // A larger cluster than every device of the kind must take.
    const cudaError_t allowed = cudaFuncSetAttribute(
        latent_attention<F>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    if (allowed != cudaSuccess) return allowed;
  }
  return launch(latent_attention<F>, shape, stream, args);
}

}  // namespace

extern "C" int spillway_latent_attention(const LatentAttention* args, Stream stream) {
  const bool power_of_two = args->splits >= 1 && (args->splits & (args->splits - 1)) == 0;
  const bool for_decodes = args->splits > 1 || args->beside_earlier;
  const bool supported =
      power_of_two && args->splits <= kSplitsMax && !(for_decodes && args->row_start);
  if (!supported) return cudaErrorInvalidValue;
  if (args->chunks == 0 || (args->row_start && args->rows_max == 0)) return cudaSuccess;
  if (args->row_start) return enqueue_latent_chunks(*args, stream);
  return args->splits == 1 ? enqueue_latent_decodes(*args, stream) : enqueue_decodes(*args, stream);
}

}  // namespace spillway::kernels
