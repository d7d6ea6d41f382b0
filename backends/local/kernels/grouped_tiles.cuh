// Tiles of a product of groups: which there are, and what each is of.
#pragma once

#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/expert_kernels.h"

namespace spillway::kernels {

// A tile: some rows of weights by some tokens of one group.
struct Place {
  int group;
  int weight_tile;
  int first;  // of the rows of the group
  int tokens;
};

__device__ inline int rows_of(const GroupedLinear& args, int group) {
  return args.lists ? __ldcg(args.counts + group) : args.rows;
}

// Which row that is, counted over all that the group may have: of out, and times x_share of x.
__device__ inline int row_of(const GroupedLinear& args, const Place& place, int token) {
  const int at = place.first + token;
  return args.lists ? args.lists[int64_t{place.group} * args.list_stride + at] : at;
}

// Tiles by group, by rows of weights, by up to `Tokens` tokens: those that share weights follow
// each other. As many as share weights at the same time, `Sharers`, count as one, and the tokens of
// a group are dealt out evenly to them.
template <int Tokens, int Sharers>
struct TileNumbers {
  int first[kExpertsMax + 1];  // Of each group.
  int rows[kExpertsMax];

  // By the first warp.
  __device__ void count(const GroupedLinear& args, int weight_tiles) {
    int before = 0;
    for (int base = 0; base < args.groups; base += kWarp) {
      const int group = base + threadIdx.x;
      const int own = group < args.groups ? rows_of(args, group) : 0;
      int sum = token_tiles(own) * weight_tiles;
#pragma unroll
      for (int offset = 1; offset < kWarp; offset *= 2) {
        const int other = __shfl_up_sync(kAllLanes, sum, offset);
        if (threadIdx.x >= offset) sum += other;
      }
      if (group < args.groups) {
        first[group + 1] = before + sum;
        rows[group] = own;
      }
      before += __shfl_sync(kAllLanes, sum, kWarp - 1);
    }
    if (threadIdx.x == 0) first[0] = 0;
  }

  __device__ Place place(int groups, int tile, int sharer) const {
    int low = 0;
    int high = groups;  // first[low] ≤ tile < first[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first[middle] <= tile ? low : high) = middle;
    }
    const int tiles = token_tiles(rows[low]);
    const int tokens = tile_tokens(rows[low], tiles);
    const int within = tile - first[low];
    const int first_token = (within % tiles * Sharers + sharer) * tokens;
    return {low, within / tiles, first_token, max(0, min(rows[low] - first_token, tokens))};
  }

 private:
  __device__ static int token_tiles(int rows) {
    return (rows + Sharers * Tokens - 1) / (Sharers * Tokens);
  }
  __device__ static int tile_tokens(int rows, int tiles) {
    if (Sharers == 1) return Tokens;
    constexpr int kStep = 8;  // Of tokens that are multiplied.
    const int parts = tiles * Sharers * kStep;
    return (rows + parts - 1) / parts * kStep;
  }
};

}  // namespace spillway::kernels
