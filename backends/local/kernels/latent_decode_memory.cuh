// What a block that attends for one token has in shared memory, and how queries come there.
#pragma once

#include "backends/local/kernels/latent_tiles.cuh"

namespace spillway::kernels {
namespace {

constexpr int kHeads = 16;
constexpr int kLines = LineTiles::kRows;
constexpr int kGroups = 2;  // of warps
constexpr int kThreads = kGroups * kWarpgroup;
constexpr int kColumnTiles = kLatentWidth / kTileDepth;
constexpr int kOutStride = kLatentWidth + 4;  // Spreads heads over the banks.

struct DecodeShared {
  Tile<kTileDepth, kHeads> q[kLatentLine / kTileDepth];
  LineTiles lines[kGroups];
  Tile<kTileDepth, kHeads> p[kGroups];  // Heads by lines.
  float of_warps[kGroups][4][kHeads];   // Maxima, at the end denominators.
  float maximum[kGroups][kHeads];
  uint64_t come[kGroups];
};

// What a warpgroup found, where its lines were.
using Found = float[kHeads][kOutStride];
static_assert(sizeof(Found) <= sizeof(LineTiles));

__device__ void copy_queries(const LatentAttention& args, const Work& work, DecodeShared& shared) {
  for (int i = threadIdx.x; i < kHeads * kPieces; i += kThreads) {
    const int row = i / kPieces;
    const int piece = i % kPieces;
    const bool exists = work.exists(row);
    const int64_t from = (exists ? work.at(row) : 0) * kLatentLine + piece * 8;
    copy_async(piece_address(shared.q[piece / 8], row, piece % 8),
               static_cast<const __nv_bfloat16*>(args.queries) + from, exists);
  }
  close_copies();
}

}  // namespace
}  // namespace spillway::kernels
