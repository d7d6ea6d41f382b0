// Attention of all heads over the lines of latent rows, on mma.sync: a line is key and, but for its
// rotated end, value of every head, so the heads of a token are the rows of one matrix.
//
// A block owns 16 or 64 rows (token r / heads, head r % heads) and walks the lines in tiles, two
// stages deep. Its warps share the scores by lines, meet in shared memory over the maxima and P,
// and share P · V by columns. Blocks that share the lines of a sequence are a cluster and merge
// through distributed shared memory.
#include "backends/local/kernels/latent_kernels.h"
#include "backends/local/kernels/matrix_tiles.cuh"

#include <cooperative_groups.h>

namespace spillway::kernels {
namespace {

namespace cg = cooperative_groups;

constexpr float kLog2E = 1.4426950408889634f;
constexpr int kPieces = kLatentLine / 8;
constexpr int kSteps = kLatentLine / 16;
constexpr int kLineWarps = 4;  // that share the scores of a row by lines
constexpr int kStages = 2;
constexpr int kSplitsMax = 16;

// Rows of a block, its warps, and lines of a tile.
template <int Rows, int Warps, int Lines>
struct Form {
  static constexpr int kRows = Rows;
  static constexpr int kThreads = Warps * kWarp;
  static constexpr int kLines = Lines;
  static constexpr int kGroups = Rows / 16;                          // of rows, of a block
  static constexpr int kScoreGroups = kGroups * kLineWarps / Warps;  // of a warp's scores
  static constexpr int kWarpLines = Lines / kLineWarps;
  static constexpr int kColumns = kLatentWidth / Warps;  // of a warp's part of the output
  static constexpr int kColumnTiles = kColumns / 8;
  static constexpr int kStrideP = Lines + 8;  // Spreads rows over the banks.
};
using OneToken = Form<16, 4, 32>;
using Tokens = Form<64, 8, 64>;

template <class F>
struct Shared {
  Tile<kLatentLine, F::kRows> q;
  Tile<kLatentLine, F::kLines> lines[kStages];
  alignas(16) __nv_bfloat16 p[F::kRows * F::kStrideP];
  float maximum[kLineWarps][F::kRows];
  float shrink[F::kRows];
};

// What a block that shares its lines with others found; lies where the lines were.
template <class F>
struct Partial {
  float out[F::kRows][kLatentWidth];
  float maximum[F::kRows];
  float denominator[F::kRows];
  float factor[kSplitsMax][F::kRows];  // By which this block multiplies what others found.
};
static_assert(sizeof(Partial<OneToken>) <= sizeof(Shared<OneToken>::lines));
static_assert(sizeof(Partial<Tokens>) <= sizeof(Shared<Tokens>::lines));

struct Work {
  int row_start;
  int first_position;
  int packed;  // rows of the chunk × heads
  int begin;   // first packed row
  int heads;
  int lines;  // that the last row sees
  const int32_t* table;

  __device__ bool exists(int row) const { return begin + row < packed; }
  __device__ int64_t at(int row) const { return int64_t{row_start} * heads + begin + row; }
  __device__ int last_line(int row) const { return first_position + (begin + row) / heads; }
};

template <class F>
__device__ Work work_of_block(const LatentAttention& args) {
  Work work;
  const int chunk = blockIdx.z;
  work.heads = args.heads;
  work.row_start = args.row_start ? args.row_start[chunk] : chunk;
  work.packed = (args.row_start ? args.row_start[chunk + 1] - work.row_start : 1) * args.heads;
  work.first_position = args.first_position[chunk];
  work.begin = (gridDim.y - 1 - blockIdx.y) * F::kRows;  // Those with the most lines start first.
  const int last = min(F::kRows, work.packed - work.begin) - 1;
  work.lines = work.first_position < 0 ? 0 : work.last_line(last) + 1;
  const int sequence = args.chunk_sequence ? args.chunk_sequence[chunk] : chunk;
  work.table = args.page_table + int64_t{sequence} * args.page_stride;
  return work;
}

template <class F>
__device__ void copy_queries(const LatentAttention& args, const Work& work,
                             Tile<kLatentLine, F::kRows>& to) {
  for (int i = threadIdx.x; i < F::kRows * kPieces; i += F::kThreads) {
    const int row = i / kPieces;
    const int piece = i % kPieces;
    const bool exists = work.exists(row);
    const int64_t from = (exists ? work.at(row) : 0) * kLatentLine + piece * 8;
    copy_async(piece_address(to, row, piece),
               static_cast<const __nv_bfloat16*>(args.queries) + from, exists);
  }
}

template <class F>
__device__ void copy_lines(const LatentAttention& args, const Work& work, int tile,
                           Tile<kLatentLine, F::kLines>& to) {
#pragma unroll 6
  for (int i = threadIdx.x; i < F::kLines * kPieces; i += F::kThreads) {
    const int row = i / kPieces;
    const int piece = i % kPieces;
    const int line = tile * F::kLines + row;
    const bool exists = line < work.lines;
    const int64_t page = exists ? work.table[line / kPageTokens] : 0;
    const int64_t from = (page * kPageTokens + line % kPageTokens) * kLatentLine + piece * 8;
    copy_async(piece_address(to, row, piece), static_cast<const __nv_bfloat16*>(args.pages) + from,
               exists);
  }
}

// Scores of a warp: 16-row groups by a quarter of the tile's lines. Lane 4g + t holds rows g and
// g + 8 of each group.
template <class F>
class Scores {
 public:
  static constexpr int kTiles = F::kWarpLines / 8;

  __device__ static int first_row() {
    return threadIdx.x / kWarp / kLineWarps * F::kScoreGroups * 16;
  }
  __device__ static int line_warp() { return threadIdx.x / kWarp % kLineWarps; }
  __device__ static int row_of(int group, int half) {
    return first_row() + group * 16 + half * 8 + threadIdx.x % kWarp / 4;
  }

  __device__ void multiply_tile(const Tile<kLatentLine, F::kRows>& q,
                                const Tile<kLatentLine, F::kLines>& lines) {
    const int lane = threadIdx.x % kWarp;
    const int first_line = line_warp() * F::kWarpLines;
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) s_[group][tile][i] = 0.0f;
      }
    }
#pragma unroll 4
    for (int step = 0; step < kSteps; step += kStepsOfLoad) {
      uint32_t b[4];
      if constexpr (kTiles == 2) {  // 16 lines at one step of 16 columns
        const int row = first_line + lane / 16 * 8 + lane % 8;
        load_matrices(b, piece_address(lines, row, step * 2 + lane / 8 % 2));
      } else {  // 8 lines at two of them
        load_matrices(b, piece_address(lines, first_line + lane % 8, step * 2 + lane / 8));
      }
#pragma unroll
      for (int group = 0; group < F::kScoreGroups; ++group) {
        const int row = first_row() + group * 16 + lane % 16;
        uint32_t a[4];
        load_matrices(a, piece_address(q, row, step * 2 + lane / 16));
        multiply(s_[group][0], a, b[0], b[1]);
        if constexpr (kTiles == 1)
          load_matrices(a, piece_address(q, row, step * 2 + 2 + lane / 16));
        multiply(s_[group][1], a, b[2], b[3]);
      }
    }
    if constexpr (kTiles == 1) add_halves();
  }

  // Two sums are under way at once, also of the same scores.
  __device__ void add_halves() {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int i = 0; i < 4; ++i) s_[group][0][i] += s_[group][1][i];
    }
  }

  // Lines that a row does not see count no more; what the rest have at most goes to `maximum`.
  __device__ void mask(const Work& work, int first_line, float (&maximum)[kLineWarps][F::kRows]) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row_of(group, half);
        const int last = work.exists(row) ? work.last_line(row) : -1;
        float top = -INFINITY;
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            const int line =
                first_line + line_warp() * F::kWarpLines + tile * 8 + threadIdx.x % 4 * 2 + i % 2;
            if (line > last) s_[group][tile][i] = -INFINITY;
            top = fmaxf(top, s_[group][tile][i]);
          }
        }
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
        if (threadIdx.x % 4 == 0) maximum[line_warp()][row] = top;
      }
    }
  }

  // P of the tile, and by how much what was summed before shrinks beside it.
  __device__ void soften(Shared<F>& shared, float scale) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row_of(group, half);
        float top = maximum[group][half];
#pragma unroll
        for (int warp = 0; warp < kLineWarps; ++warp) top = fmaxf(top, shared.maximum[warp][row]);
        const float base = top == -INFINITY ? 0.0f : top * scale;
        const float shrink = exp2f(maximum[group][half] * scale - base);
        maximum[group][half] = top;
        float sum = 0.0f;
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
          float* const s = s_[group][tile] + 2 * half;
          s[0] = exp2f(s[0] * scale - base);
          s[1] = exp2f(s[1] * scale - base);
          sum += s[0] + s[1];
          const int column = line_warp() * F::kWarpLines + tile * 8 + threadIdx.x % 4 * 2;
          *reinterpret_cast<uint32_t*>(shared.p + row * F::kStrideP + column) = pack(s[0], s[1]);
        }
        denominator[group][half] = denominator[group][half] * shrink + sum;
        if (line_warp() == 0 && threadIdx.x % 4 == 0) shared.shrink[row] = shrink;
      }
    }
  }

  // All warps' denominators, in `maximum`'s place.
  __device__ void leave_denominators(Shared<F>& shared) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float sum = denominator[group][half];
        sum += __shfl_xor_sync(kAllLanes, sum, 1);
        sum += __shfl_xor_sync(kAllLanes, sum, 2);
        if (threadIdx.x % 4 == 0) shared.maximum[line_warp()][row_of(group, half)] = sum;
      }
    }
  }

  float maximum[F::kScoreGroups][2];  // of the row, over all lines so far
  float denominator[F::kScoreGroups][2] = {};

 private:
  static constexpr int kStepsOfLoad = kTiles == 2 ? 1 : 2;
  float s_[F::kScoreGroups][2][4];
};

// A warp's part of what comes out: all rows of the block, some columns.
template <class F>
class Outputs {
 public:
  __device__ static int first_column() { return threadIdx.x / kWarp * F::kColumns; }

  __device__ void take(const Shared<F>& shared, const Tile<kLatentLine, F::kLines>& lines) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int group = 0; group < F::kGroups; ++group) {
      const float low = shared.shrink[group * 16 + lane / 4];
      const float high = shared.shrink[group * 16 + lane / 4 + 8];
#pragma unroll
      for (int tile = 0; tile < F::kColumnTiles; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) out[group][tile][i] *= i < 2 ? low : high;
      }
    }
#pragma unroll
    for (int step = 0; step < F::kLines / 16; ++step) {
      uint32_t p[F::kGroups][4];
#pragma unroll
      for (int group = 0; group < F::kGroups; ++group) {
        const int row = group * 16 + lane % 16;
        load_matrices(p[group],
                      shared_address(shared.p + row * F::kStrideP + step * 16 + lane / 16 * 8));
      }
#pragma unroll
      for (int tile = 0; tile < F::kColumnTiles; tile += 2) {
        uint32_t b[4];
        load_matrices_transposed(
            b, piece_address(lines, step * 16 + lane % 16, first_column() / 8 + tile + lane / 16));
#pragma unroll
        for (int group = 0; group < F::kGroups; ++group) {
          multiply(out[group][tile], p[group], b[0], b[1]);
          multiply(out[group][tile + 1], p[group], b[2], b[3]);
        }
      }
    }
  }

  // `put` gets row, column and the two values there.
  template <class Put>
  __device__ void for_each_pair(Put put) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int group = 0; group < F::kGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int tile = 0; tile < F::kColumnTiles; ++tile) {
          put(group * 16 + half * 8 + lane / 4, first_column() + tile * 8 + lane % 4 * 2,
              out[group][tile][2 * half], out[group][tile][2 * half + 1]);
        }
      }
    }
  }

  float out[F::kGroups][F::kColumnTiles][4] = {};
};

template <class F>
__device__ float denominator_of(const Shared<F>& shared, int row) {
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kLineWarps; ++warp) sum += shared.maximum[warp][row];
  return sum;
}

__device__ void store_pair(const LatentAttention& args, const Work& work, int row, int column,
                           float low, float high) {
  auto* const out = static_cast<__nv_bfloat16*>(args.out) + work.at(row) * kLatentWidth + column;
  *reinterpret_cast<uint32_t*>(out) = pack(low, high);
}

template <class F>
__device__ void store_whole(const LatentAttention& args, const Work& work, const Shared<F>& shared,
                            const Outputs<F>& outputs) {
  outputs.for_each_pair([&](int row, int column, float low, float high) {
    if (!work.exists(row)) return;
    const float sum = denominator_of(shared, row);
    const float scale = sum > 0.0f ? 1.0f / sum : 0.0f;
    store_pair(args, work, row, column, low * scale, high * scale);
  });
}

// Each block of the cluster merges a part of the columns.
template <class F>
__device__ void merge(const LatentAttention& args, const Work& work, Partial<F>& partial) {
  const auto cluster = cg::this_cluster();
  cluster.sync();
  if (threadIdx.x < F::kRows) {
    const int row = threadIdx.x;
    float whole = -INFINITY;
    for (int split = 0; split < args.splits; ++split) {
      whole = fmaxf(whole, cluster.map_shared_rank(&partial, split)->maximum[row]);
    }
    float sum = 0.0f;
    for (int split = 0; split < args.splits; ++split) {
      const Partial<F>& other = *cluster.map_shared_rank(&partial, split);
      const float weight = whole == -INFINITY ? 0.0f : exp2f(other.maximum[row] - whole);
      sum += weight * other.denominator[row];
      partial.factor[split][row] = weight;
    }
    for (int split = 0; split < args.splits; ++split) {
      partial.factor[split][row] *= sum > 0.0f ? 1.0f / sum : 0.0f;
    }
  }
  __syncthreads();
  const int columns = kLatentWidth / args.splits;
#pragma unroll 4
  for (int i = threadIdx.x; i < F::kRows * columns / 4; i += F::kThreads) {
    const int row = i / (columns / 4);
    const int column = blockIdx.x * columns + i % (columns / 4) * 4;
    if (!work.exists(row)) continue;
    float4 sum = {};
    for (int split = 0; split < args.splits; ++split) {
      const auto* const from = cluster.map_shared_rank(&partial, split)->out[row] + column;
      const float4 part = *reinterpret_cast<const float4*>(from);
      const float factor = partial.factor[split][row];
      sum.x += factor * part.x;
      sum.y += factor * part.y;
      sum.z += factor * part.z;
      sum.w += factor * part.w;
    }
    store_pair(args, work, row, column, sum.x, sum.y);
    store_pair(args, work, row, column + 2, sum.z, sum.w);
  }
  cluster.sync();  // Others may still read this block's part.
}

template <class F>
__device__ void share(const LatentAttention& args, const Work& work, Shared<F>& shared,
                      const Outputs<F>& outputs, const Scores<F>& scores, float scale) {
  auto& partial = reinterpret_cast<Partial<F>&>(shared.lines);
  outputs.for_each_pair([&](int row, int column, float low, float high) {
    *reinterpret_cast<float2*>(partial.out[row] + column) = {low, high};
  });
  if (Scores<F>::line_warp() == 0 && threadIdx.x % 4 == 0) {
#pragma unroll
    for (int group = 0; group < F::kScoreGroups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = Scores<F>::row_of(group, half);
        partial.maximum[row] = scores.maximum[group][half] * scale;
        partial.denominator[row] = denominator_of(shared, row);
      }
    }
  }
  merge(args, work, partial);
}

template <class F>
__global__ void __launch_bounds__(F::kThreads) latent_attention(LatentAttention args) {
  extern __shared__ __align__(128) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<F>*>(raw);
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const Work work = work_of_block<F>(args);
  if (work.begin >= work.packed) return;
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
  if (args.splits > 1) {
    share(args, work, shared, outputs, scores, scale);
  } else {
    store_whole(args, work, shared, outputs);
  }
}

template <class F>
int enqueue(const LatentAttention& args, Stream stream) {
  const int rows = args.row_start ? args.rows_max : 1;
  LaunchShape shape;
  shape.grid = dim3(args.splits, (rows * args.heads + F::kRows - 1) / F::kRows, args.chunks);
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
  const bool supported = power_of_two && args->splits <= kSplitsMax;
  if (!supported) return cudaErrorInvalidValue;
  if (args->chunks == 0 || (args->row_start && args->rows_max == 0)) return cudaSuccess;
  return args->row_start ? enqueue<Tokens>(*args, stream) : enqueue<OneToken>(*args, stream);
}

}  // namespace spillway::kernels
