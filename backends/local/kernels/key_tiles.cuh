// Queries, keys and values of a chunk on their way from memory to the tensor cores: tiles of 64
// rows in shared memory, copied asynchronously.
//
// Tiles of E4M3 lie two deep as they are in memory, and once as bf16, which products take: without
// their scales, and 2^-120 of their size.
#pragma once

#include "backends/local/kernels/attention_kernels.h"
#include "backends/local/kernels/e4m3.cuh"
#include "backends/local/kernels/matrix_tiles.cuh"

namespace spillway::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kRows = 16 * kWarps;
constexpr int kKeys = 64;
constexpr int kStages = 2;

template <int Width>
struct KeyTiles {
  Tile<Width> k;
  Tile<Width> v;
};

// Keys, or values, as pages of E4M3 hold them.
template <int Width>
struct PackedTile {
  uint8_t data[kKeys * Width];
  float scale[kKeys];
};

template <int Width>
struct PackedKeyTiles {
  PackedTile<Width> k;
  PackedTile<Width> v;
};

template <int Width, bool E4m3>
struct Shared;

template <int Width>
struct Shared<Width, false> {
  Tile<Width> q;
  KeyTiles<Width> keys[kStages];
};

template <int Width>
struct Shared<Width, true> {
  Tile<Width> q;
  KeyTiles<Width> keys;
  PackedKeyTiles<Width> packed[kStages];
};

__device__ void copy_word_async(uint32_t to, const void* from, bool exists) {
  const int bytes = exists ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}

// What this block computes: 64 packed rows of one chunk and kv head.
struct Work {
  int row_start;       // of the chunk
  int first_position;  // of the chunk
  int packed;          // rows in the chunk × ratio
  int begin;           // first packed row
  int ratio;
  int kv_head;
  int first_key;  // that the first row sees
  int keys;       // that the last row sees

  __device__ int token(int row) const { return (begin + row) / ratio; }
  __device__ int head(int row) const { return kv_head * ratio + (begin + row) % ratio; }
  __device__ bool exists(int row) const { return begin + row < packed; }
};

__device__ Work work_of_block(const PrefillAttention& args) {
  Work work;
  const int chunk = blockIdx.z;
  work.row_start = args.row_start[chunk];
  work.first_position = args.first_position[chunk];
  work.ratio = args.q_heads / args.kv_heads;
  work.packed = (args.row_start[chunk + 1] - work.row_start) * work.ratio;
  work.begin = (gridDim.x - 1 - blockIdx.x) * kRows;
  work.kv_head = blockIdx.y;
  work.first_key =
      args.window > 0 ? max(0, work.first_position + work.token(0) + 1 - args.window) : 0;
  work.keys = work.first_position + work.token(min(kRows, work.packed - work.begin) - 1) + 1;
  return work;
}

template <int Width>
__device__ void copy_queries(const PrefillAttention& args, const Work& work, Tile<Width>& to) {
  for (int i = threadIdx.x; i < kRows * Width / 8; i += kThreads) {
    const int row = i / (Width / 8);
    const int piece = i % (Width / 8);
    const bool exists = work.exists(row);
    const int64_t from = (work.row_start + (exists ? work.token(row) : 0)) * args.q_stride +
                         (exists ? work.head(row) : 0) * Width + piece * 8;
    copy_async(piece_address(to, row, piece), static_cast<const __nv_bfloat16*>(args.q) + from,
               exists);
  }
}

// The line of the KV pages that holds a key of the chunk's sequence; 0 for keys past the last.
__device__ int64_t line_of(const PrefillAttention& args, const Work& work, int key) {
  const int sequence =
      args.chunk_sequence ? args.chunk_sequence[blockIdx.z] : static_cast<int>(blockIdx.z);
  const int32_t* table = args.page_table + int64_t{sequence} * args.page_stride;
  const int64_t page = key < work.keys ? table[key / kPageTokens] : 0;
  return (page * args.kv_heads + work.kv_head) * kPageTokens + key % kPageTokens;
}

template <int Width>
__device__ void copy_keys(const PrefillAttention& args, const Work& work, int tile,
                          KeyTiles<Width>& to) {
#pragma unroll
  for (int j = 0; j < kKeys * Width / 8 / kThreads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    const int row = i / (Width / 8);
    const int piece = i % (Width / 8);
    const int key = tile * kKeys + row;
    const bool exists = key < work.keys;
    const int64_t at = line_of(args, work, key) * Width + piece * 8;
    copy_async(piece_address(to.k, row, piece), static_cast<const __nv_bfloat16*>(args.keys) + at,
               exists);
    copy_async(piece_address(to.v, row, piece), static_cast<const __nv_bfloat16*>(args.values) + at,
               exists);
  }
}

template <int Width>
__device__ void copy_keys(const PrefillAttention& args, const Work& work, int tile,
                          PackedKeyTiles<Width>& to) {
#pragma unroll
  for (int j = 0; j < kKeys * Width / 16 / kThreads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    const int row = i / (Width / 16);
    const int offset = i % (Width / 16) * 16;
    const int key = tile * kKeys + row;
    const bool exists = key < work.keys;
    const int64_t at = line_of(args, work, key) * Width + offset;
    copy_async(shared_address(to.k.data + row * Width + offset),
               static_cast<const uint8_t*>(args.keys) + at, exists);
    copy_async(shared_address(to.v.data + row * Width + offset),
               static_cast<const uint8_t*>(args.values) + at, exists);
  }
  static_assert(kThreads == 2 * kKeys);
  const int row = threadIdx.x % kKeys;
  const int key = tile * kKeys + row;
  const bool of_keys = threadIdx.x < kKeys;
  copy_word_async(shared_address((of_keys ? to.k : to.v).scale + row),
                  (of_keys ? args.key_scales : args.value_scales) + line_of(args, work, key),
                  key < work.keys);
}

template <int Width>
__device__ void widen(const PackedTile<Width>& from, Tile<Width>& to) {
#pragma unroll
  for (int j = 0; j < kKeys * Width / 8 / kThreads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    const int row = i / (Width / 8);
    const int piece = i % (Width / 8);
    to.piece(row, piece) =
        as_bf16(*reinterpret_cast<const E4m3x8*>(from.data + row * Width + piece * 8));
  }
}

// The tile as products take it. The packed one is there for the whole block.
template <int Width>
__device__ const KeyTiles<Width>& tile_of(Shared<Width, false>& shared, int tile) {
  return shared.keys[tile % kStages];
}

template <int Width>
__device__ const KeyTiles<Width>& tile_of(Shared<Width, true>& shared, int tile) {
  const PackedKeyTiles<Width>& packed = shared.packed[tile % kStages];
  widen(packed.k, shared.keys.k);
  widen(packed.v, shared.keys.v);
  __syncthreads();
  return shared.keys;
}

template <int Width>
__device__ KeyTiles<Width>& stage_of(Shared<Width, false>& shared, int tile) {
  return shared.keys[tile % kStages];
}

template <int Width>
__device__ PackedKeyTiles<Width>& stage_of(Shared<Width, true>& shared, int tile) {
  return shared.packed[tile % kStages];
}

}  // namespace
}  // namespace spillway::kernels
