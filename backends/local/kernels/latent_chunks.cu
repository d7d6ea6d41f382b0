// Attention of chunks of tokens to lines of latent rows, on wgmma.
//
// A block owns 64 rows (token r / heads, head r % heads) and walks the lines in tiles of 64, two
// stages deep. Its two warpgroups share the scores by lines and P · V by columns; they meet in
// shared memory over the maxima and P.
#include "backends/local/kernels/latent_forms.h"
#include "backends/local/kernels/latent_tiles.cuh"

namespace spillway::kernels {
namespace {

struct ChunkShared {
  LineTiles q;
  LineTiles lines[2];
  Tile<kTileDepth> p;
  float of_rows[2][LineTiles::kRows];  // Of each warpgroup: maxima, at the end denominators.
};

class ChunkAttention {
 public:
  static constexpr int kRows = LineTiles::kRows;
  static constexpr int kThreads = 2 * kWarpgroup;

  __device__ ChunkAttention(const LatentAttention& args, const Work& work, ChunkShared& shared)
      : args_(args),
        work_(work),
        shared_(shared),
        group_(threadIdx.x / kWarpgroup),
        row_(threadIdx.x % kWarpgroup / kWarp * 16 + threadIdx.x % kWarp / 4) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_ + half * 8;
      last_[half] = work.exists(row) ? work.last_line(row) : -1;
    }
  }

  __device__ void run() {
    copy_queries();
    copy_lines(0);
    close_copies();
    const int tiles = (work_.lines + kRows - 1) / kRows;
    for (int tile = 0; tile < tiles; ++tile) {
      wait_for_copies<0>();
      let_products_see_copies();
      __syncthreads();  // The tile is there, and nobody reads the other stage or P any more.
      if (tile + 1 < tiles) copy_lines(tile + 1);
      close_copies();
      score(tile);
      find_maxima(tile);
      __syncthreads();
      soften();
      let_products_see_copies();
      __syncthreads();
      mix(tile);
    }
    wait_for_copies<0>();
    store();
  }

 private:
  static constexpr int kLines = kRows / 2;  // Of a warpgroup's scores.
  static constexpr int kColumns = kLatentWidth / 2;
  static constexpr int kStage = 2;

  __device__ void copy_queries() {
    for (int i = threadIdx.x; i < kRows * kPieces; i += kThreads) {
      const int row = i / kPieces;
      const bool exists = work_.exists(row);
      const int64_t from = (exists ? work_.at(row) : 0) * kLatentLine + i % kPieces * 8;
      copy_async(shared_.q.piece(row, i % kPieces),
                 static_cast<const __nv_bfloat16*>(args_.queries) + from, exists);
    }
  }

  __device__ void copy_lines(int tile) {
    const LineTiles& to = shared_.lines[tile % kStage];
#pragma unroll 6
    for (int i = threadIdx.x; i < kRows * kPieces; i += kThreads) {
      const int row = i / kPieces;
      const int line = tile * kRows + row;
      const bool exists = line < work_.lines;
      copy_async(to.piece(row, i % kPieces),
                 address_of_line(args_, work_, exists ? line : 0) + i % kPieces * 8, exists);
    }
  }

  __device__ void score(int tile) {
    const uint32_t q = shared_address(&shared_.q);
    const uint32_t lines =
        shared_address(&shared_.lines[tile % kStage]) + group_ * kLines * kTileRowBytes;
    begin_products();
#pragma unroll
    for (int step = 0; step < kLatentLine / 16; ++step) {
      const int columns = step / 4 * LineTiles::kTileBytes;
      warpgroup_multiply<kLines>(s_, operand_of(q + columns) + step % 4 * kDepthStep,
                                 operand_of(lines + columns) + step % 4 * kDepthStep, step > 0);
    }
    close_products();
    wait_for_products<0>();
    settle(s_);
  }

  // Lines that a row does not see count no more.
  __device__ void find_maxima(int tile) {
    const int first = tile * kRows + group_ * kLines + threadIdx.x % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = -INFINITY;
#pragma unroll
      for (int i = 0; i < kLines / 4; ++i) {
        float& s = s_[i / 2 * 4 + half * 2 + i % 2];
        if (first + i / 2 * 8 + i % 2 > last_[half]) s = -INFINITY;
        top = fmaxf(top, s);
      }
      top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
      top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
      if (threadIdx.x % 4 == 0) shared_.of_rows[group_][row_ + half * 8] = top;
    }
  }

  // P of the tile; what was summed before shrinks beside it.
  __device__ void soften() {
    const float scale = args_.scale * kLog2E;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_ + half * 8;
      const float top =
          fmaxf(maximum_[half], fmaxf(shared_.of_rows[0][row], shared_.of_rows[1][row]));
      const float base = top == -INFINITY ? 0.0f : top * scale;
      const float shrink = exp2f(maximum_[half] * scale - base);
      maximum_[half] = top;
      float sum = 0.0f;
#pragma unroll
      for (int block = 0; block < kLines / 8; ++block) {
        const float* const s = s_ + block * 4 + half * 2;
        const float low = exp2f(s[0] * scale - base);
        const float high = exp2f(s[1] * scale - base);
        sum += low + high;
        auto* const to =
            reinterpret_cast<uint32_t*>(&shared_.p.piece(row, group_ * (kLines / 8) + block));
        to[threadIdx.x % 4] = pack(low, high);
      }
      denominator_[half] = denominator_[half] * shrink + sum;
#pragma unroll
      for (int i = 0; i < kColumns / 4; ++i) {
        float* const out = out_[i / 32];
        out[i % 32 / 2 * 4 + half * 2 + i % 2] *= shrink;
      }
    }
  }

  __device__ void mix(int tile) {
    const uint32_t p = shared_address(&shared_.p);
    const uint32_t lines = shared_address(&shared_.lines[tile % kStage]) +
                           group_ * (kColumns / kTileDepth) * LineTiles::kTileBytes;
    begin_products();
#pragma unroll
    for (int step = 0; step < kRows / 16; ++step) {
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        warpgroup_multiply_columns(
            out_[part], operand_of(p) + step * kDepthStep,
            columns_of(lines + part * 2 * LineTiles::kTileBytes, LineTiles::kTileBytes) +
                step * kRowsStep);
      }
    }
    close_products();
    wait_for_products<0>();
    settle(out_[0]);
    settle(out_[1]);
  }

  __device__ void store() {
    __syncthreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = denominator_[half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      if (threadIdx.x % 4 == 0) shared_.of_rows[group_][row_ + half * 8] = sum;
    }
    __syncthreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_ + half * 8;
      if (!work_.exists(row)) continue;
      const float sum = shared_.of_rows[0][row] + shared_.of_rows[1][row];
      const float scale = sum > 0.0f ? 1.0f / sum : 0.0f;
      auto* const to = static_cast<__nv_bfloat16*>(args_.out) + work_.at(row) * kLatentWidth +
                       group_ * kColumns + threadIdx.x % 4 * 2;
#pragma unroll
      for (int block = 0; block < kColumns / 8; ++block) {
        const float* const d = out_[block / 16] + block % 16 * 4 + half * 2;
        *reinterpret_cast<uint32_t*>(to + block * 8) = pack(d[0] * scale, d[1] * scale);
      }
    }
  }

  const LatentAttention& args_;
  const Work& work_;
  ChunkShared& shared_;
  const int group_;  // Which warpgroup.
  const int row_;    // The first of this lane's; the other is 8 further on.
  int last_[2];      // Line that each sees.
  float s_[kLines / 2];
  float out_[2][kColumns / 4] = {};  // By 128 columns.
  float maximum_[2] = {-INFINITY, -INFINITY};
  float denominator_[2] = {};
};

__global__ void __launch_bounds__(ChunkAttention::kThreads, 1)
    latent_chunk_attention(const __grid_constant__ LatentAttention args) {
  extern __shared__ __align__(kTileAlignment) unsigned char raw[];
  auto& shared = *reinterpret_cast<ChunkShared*>(raw);
  wait_for_earlier_kernels();
  let_next_kernel_start();  // Only now: the next may start with what this kernel had to wait for.
  const Work work = work_of_block(args, ChunkAttention::kRows);
  if (work.begin < work.packed) ChunkAttention(args, work, shared).run();
}

}  // namespace

int enqueue_latent_chunks(const LatentAttention& args, Stream stream) {
  const int rows = args.rows_max * args.heads;
  LaunchShape shape;
  shape.grid = dim3(1, (rows + ChunkAttention::kRows - 1) / ChunkAttention::kRows, args.chunks);
  shape.block = dim3(ChunkAttention::kThreads);
  shape.shared_bytes = sizeof(ChunkShared);
  const int error = allow_shared(latent_chunk_attention, shape.shared_bytes);
  return error ? error : launch(latent_chunk_attention, shape, stream, args);
}

}  // namespace spillway::kernels
