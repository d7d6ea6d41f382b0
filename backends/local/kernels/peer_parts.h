// Sums over more than two GPUs where each rank has rows of its own, for everyone. Plain C ABI.
#pragma once

#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

// As spillway_peer_norm with an `out`, but every ranks-th row is one rank's, which sums and norms
// it alone and gives it to all. Only that rank has the row's sum in its residual afterwards.
// Requires: in a pass all norms of sums are of this kind, of the same rows or, with row_index, of
// some of them.
struct PeerParts {
  PeerNorm norm;
  void* out[kRanksMax];      // Of each rank, where norm.out is this one's.
  float* scales[kRanksMax];  // Likewise; null without norm.scales.
};
extern "C" int spillway_peer_parts(const PeerParts* args, Stream stream);

}  // namespace spillway::kernels
