// Attention of all heads over lines of latent rows: what a block works for, and how queries and
// lines come into shared memory.
#pragma once

#include "backends/local/kernels/latent_kernels.h"
#include "backends/local/kernels/warpgroup.cuh"

namespace spillway::kernels {
namespace {

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

template <class F>
struct Shared {
  Tile<kLatentLine, F::kRows> q;
  Tile<kLatentLine, F::kLines> lines[kStages];
  alignas(16) __nv_bfloat16 p[F::kRows * F::kStrideP];
  float maximum[kLineWarps][F::kRows];
  float shrink[F::kRows];
};

// Rows of 576 numbers as nine tiles of 64 columns.
struct LineTiles {
  static constexpr int kRows = 64;
  static constexpr int kTileBytes = kRows * kTileRowBytes;

  Tile<kTileDepth> columns[kLatentLine / kTileDepth];

  __device__ uint32_t piece(int row, int piece) const {
    return piece_address(columns[piece / 8], row, piece % 8);
  }
};

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

// Of a block that has so many rows.
__device__ Work work_of_block(const LatentAttention& args, int rows) {
  Work work;
  const int chunk = blockIdx.z;
  work.heads = args.heads;
  work.row_start = args.row_start ? args.row_start[chunk] : chunk;
  work.packed = (args.row_start ? args.row_start[chunk + 1] - work.row_start : 1) * args.heads;
  work.first_position = args.first_position[chunk];
  work.begin = (gridDim.y - 1 - blockIdx.y) * rows;  // Those with the most lines start first.
  const int last = min(rows, work.packed - work.begin) - 1;
  work.lines = work.first_position < 0 ? 0 : work.last_line(last) + 1;
  const int sequence = args.chunk_sequence ? args.chunk_sequence[chunk] : chunk;
  work.table = args.page_table + int64_t{sequence} * args.page_stride;
  return work;
}

__device__ const __nv_bfloat16* address_of_line(const LatentAttention& args, const Work& work,
                                                int line) {
  const int64_t page = work.table[line / kPageTokens];
  return static_cast<const __nv_bfloat16*>(args.pages) +
         (page * kPageTokens + line % kPageTokens) * kLatentLine;
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
    copy_async(piece_address(to, row, piece),
               address_of_line(args, work, exists ? line : 0) + piece * 8, exists);
  }
}

}  // namespace
}  // namespace spillway::kernels
