// Attention of one token's heads to all lines of its sequence, on wgmma.
//
// A block owns 16 heads of a sequence. Its two warpgroups take the tiles of 64 lines in turn, each
// with a softmax and sums of its own, so that one waits for memory while the other multiplies; at
// the end they merge. Lines are what products have 64 rows of: scores are lines by heads, and what
// comes out is columns by heads.
#include "backends/local/kernels/latent_decode_memory.cuh"
#include "backends/local/kernels/latent_forms.h"
#include "backends/local/kernels/tensor_maps.h"

namespace spillway::kernels {
namespace {

// A warpgroup's part of the work.
class DecodeAttention {
 public:
  __device__ DecodeAttention(const LatentAttention& args, const CUtensorMap& map, const Work& work,
                             DecodeShared& shared)
      : args_(args),
        map_(map),
        work_(work),
        shared_(shared),
        group_(__shfl_sync(kAllLanes, threadIdx.x / kWarpgroup, 0)),  // One for a whole warp.
        line_(threadIdx.x % kWarpgroup / kWarp * 16 + threadIdx.x % kWarp / 4),
        head_(threadIdx.x % 4 * 2) {
#pragma unroll
    for (int i = 0; i < 4; ++i) maximum_[i] = -INFINITY;
  }

  // Asks for the first tile.
  __device__ void begin() { fetch(group_); }

  __device__ void run() {
    const int tiles = (work_.lines + kLines - 1) / kLines;
    int round = 0;
    for (int tile = group_; tile < tiles; tile += kGroups) {
      barrier_wait(shared_address(shared_.come + group_), round);
      round ^= 1;
      if ((tile + 1) * kLines > work_.lines) clear_rest(tile);
      score();
      soften(tile);
      let_products_see_copies();
      meet();
      mix();
      meet();  // Nobody reads the lines any more.
      fetch(tile + kGroups);
    }
    leave_found();
  }

  // What both groups found, by all threads.
  __device__ static void store(const LatentAttention& args, const Work& work,
                               const DecodeShared& shared) {
    const auto& first = reinterpret_cast<const Found&>(shared.lines[0]);
    const auto& second = reinterpret_cast<const Found&>(shared.lines[1]);
    for (int i = threadIdx.x; i < kHeads * kLatentWidth / 4; i += kThreads) {
      const int head = i / (kLatentWidth / 4);
      const int column = i % (kLatentWidth / 4) * 4;
      if (!work.exists(head)) continue;
      const float4 a = *reinterpret_cast<const float4*>(first[head] + column);
      const float4 b = *reinterpret_cast<const float4*>(second[head] + column);
      auto* const to =
          static_cast<__nv_bfloat16*>(args.out) + work.at(head) * kLatentWidth + column;
      *reinterpret_cast<uint2*>(to) = {pack(a.x + b.x, a.y + b.y), pack(a.z + b.z, a.w + b.w)};
    }
  }

 private:
  __device__ bool leads() const { return threadIdx.x % kWarpgroup < kWarp; }
  __device__ int warp() const { return threadIdx.x % kWarpgroup / kWarp; }

  __device__ void meet() const {
    if (group_ == 0) {
      asm volatile("bar.sync 1, %0;" ::"n"(kWarpgroup) : "memory");
    } else {
      asm volatile("bar.sync 2, %0;" ::"n"(kWarpgroup) : "memory");
    }
  }

  // The first warp asks the copy engine for the pages of a tile, 64 columns at a time.
  __device__ void fetch(int tile) const {
    const int left = work_.lines - tile * kLines;
    if (!leads() || left <= 0) return;
    constexpr int kColumns = kLatentLine / kTileDepth;
    constexpr int kPageBytes = kPageTokens * kTileRowBytes;
    const int pages = min((left + kPageTokens - 1) / kPageTokens, kLines / kPageTokens);
    const uint32_t come = shared_address(shared_.come + group_);
    if (threadIdx.x % kWarp == 0) barrier_expect(come, pages * kColumns * kPageBytes);
    __syncwarp();
    for (int i = threadIdx.x % kWarp; i < pages * kColumns; i += kWarp) {
      const int page = i / kColumns;
      const int columns = i % kColumns;
      const int line = work_.table[tile * (kLines / kPageTokens) + page] * kPageTokens;
      copy_rows(shared_address(shared_.lines[group_].columns + columns) + page * kPageBytes, map_,
                come, columns * kTileDepth, line);
    }
  }

  // Lines that the sequence does not have: whatever a page holds there, it is no number to sum.
  __device__ void clear_rest(int tile) const {
    const int first = work_.lines - tile * kLines;
    auto& lines = shared_.lines[group_];
    for (int i = threadIdx.x % kWarpgroup; i < (kLines - first) * kPieces; i += kWarpgroup) {
      const int piece = i % kPieces;
      lines.columns[piece / 8].piece(first + i / kPieces, piece % 8) = {};
    }
    let_products_see_copies();
    meet();
  }

  // Lane 4g + t holds lines g and g + 8 of its warp's 16, of each 8 heads 2t and 2t + 1.
  __device__ void score() {
    const uint32_t lines = shared_address(&shared_.lines[group_]);
    const uint32_t q = shared_address(&shared_.q);
    constexpr int kQBytes = kHeads * kTileRowBytes;
    begin_products();
#pragma unroll
    for (int step = 0; step < kLatentLine / 16; ++step) {
      warpgroup_multiply<kHeads>(
          s_, operand_of(lines + step / 4 * LineTiles::kTileBytes) + step % 4 * kDepthStep,
          operand_of(q + step / 4 * kQBytes) + step % 4 * kDepthStep, step > 0);
    }
    close_products();
    wait_for_products<0>();
    settle(s_);
  }

  __device__ int head(int i) const { return i / 2 * 8 + head_ + i % 2; }
  __device__ float& s(int i, int half) { return s_[i / 2 * 4 + half * 2 + i % 2]; }

  // P of the tile; what was summed before shrinks beside it.
  __device__ void soften(int tile) {
    const float scale = args_.scale * kLog2E;
    const bool low = tile * kLines + line_ < work_.lines;
    const bool high = tile * kLines + line_ + 8 < work_.lines;
    auto& of_warps = shared_.of_warps[group_];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float top = fmaxf(low ? s(i, 0) : -INFINITY, high ? s(i, 1) : -INFINITY);
      top = over_lines(top, [](float a, float b) { return fmaxf(a, b); });
      if (threadIdx.x % kWarp < 4) of_warps[warp()][head(i)] = top;
    }
    meet();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float top = maximum_[i];
#pragma unroll
      for (int w = 0; w < 4; ++w) top = fmaxf(top, of_warps[w][head(i)]);
      const float shrink = exp2f((maximum_[i] - top) * scale);
      maximum_[i] = top;
      const float p_low = low ? exp2f((s(i, 0) - top) * scale) : 0.0f;
      const float p_high = high ? exp2f((s(i, 1) - top) * scale) : 0.0f;
      denominator_[i] = denominator_[i] * shrink + p_low + p_high;
      put_p(head(i), line_, p_low);
      put_p(head(i), line_ + 8, p_high);
#pragma unroll
      for (int columns = 0; columns < kColumnTiles; ++columns) {
        out_[columns][i / 2 * 4 + i % 2] *= shrink;
        out_[columns][i / 2 * 4 + 2 + i % 2] *= shrink;
      }
    }
  }

  template <class Join>
  __device__ static float over_lines(float value, Join join) {
#pragma unroll
    for (int offset = 4; offset < kWarp; offset *= 2) {
      value = join(value, __shfl_xor_sync(kAllLanes, value, offset));
    }
    return value;
  }

  __device__ void put_p(int head, int line, float value) {
    auto* const piece = reinterpret_cast<__nv_bfloat16*>(&shared_.p[group_].piece(head, line / 8));
    piece[line % 8] = __float2bfloat16(value);
  }

  __device__ void mix() {
    const uint32_t lines = shared_address(&shared_.lines[group_]);
    const uint64_t p = operand_of(shared_address(shared_.p + group_));
    begin_products();
#pragma unroll
    for (int step = 0; step < kLines / 16; ++step) {
#pragma unroll
      for (int columns = 0; columns < kColumnTiles; ++columns) {
        const uint64_t values = columns_of(lines + columns * LineTiles::kTileBytes, 0);
        warpgroup_multiply_few(out_[columns], values + step * kRowsStep, p + step * kDepthStep);
      }
    }
    close_products();
    wait_for_products<0>();
#pragma unroll
    for (int columns = 0; columns < kColumnTiles; ++columns) settle(out_[columns]);
  }

  // Divided by what both groups have together.
  __device__ void leave_found() {
    const float scale = args_.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float sum = over_lines(denominator_[i], [](float a, float b) { return a + b; });
      if (threadIdx.x % kWarp < 4) {
        shared_.of_warps[group_][warp()][head(i)] = sum;
        shared_.maximum[group_][head(i)] = maximum_[i];
      }
    }
    __syncthreads();
    auto& found = reinterpret_cast<Found&>(shared_.lines[group_]);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float whole = fmaxf(shared_.maximum[0][head(i)], shared_.maximum[1][head(i)]);
      float sum = 0.0f;
#pragma unroll
      for (int w = 0; w < 8; ++w) {
        const float of_group = shared_.maximum[w / 4][head(i)];
        const float weight = of_group == -INFINITY ? 0.0f : exp2f((of_group - whole) * scale);
        sum += weight * shared_.of_warps[w / 4][w % 4][head(i)];
      }
      const float own = maximum_[i] == -INFINITY ? 0.0f : exp2f((maximum_[i] - whole) * scale);
      const float factor = sum > 0.0f ? own / sum : 0.0f;
#pragma unroll
      for (int columns = 0; columns < kColumnTiles; ++columns) {
        const float* const out = out_[columns] + i / 2 * 4 + i % 2;
        found[head(i)][columns * kTileDepth + line_] = out[0] * factor;
        found[head(i)][columns * kTileDepth + line_ + 8] = out[2] * factor;
      }
    }
    __syncthreads();
  }

  const LatentAttention& args_;
  const CUtensorMap& map_;
  const Work& work_;
  DecodeShared& shared_;
  const int group_;
  const int line_;  // The first of this lane's, and columns likewise; the other is 8 further on.
  const int head_;  // The first of this lane's four.
  float s_[kHeads / 2];
  float out_[kColumnTiles][kHeads / 2] = {};
  float maximum_[4];
  float denominator_[4] = {};
};

__global__ void __launch_bounds__(kThreads, 1)
    latent_decode_attention(const __grid_constant__ LatentAttention args,
                            const __grid_constant__ CUtensorMap map) {
  extern __shared__ __align__(kTileAlignment) unsigned char raw[];
  auto& shared = *reinterpret_cast<DecodeShared*>(raw);
  if (threadIdx.x == 0) {
    for (uint64_t& come : shared.come) barrier_init(shared_address(&come), 1);
    publish_barriers();
  }
  if (!args.beside_earlier) wait_for_earlier_kernels();
  let_next_kernel_start();
  const Work work = work_of_block(args, kHeads);
  copy_queries(args, work, shared);
  __syncthreads();  // The barriers are there.
  DecodeAttention attention(args, map, work, shared);
  attention.begin();
  wait_for_copies<0>();
  let_products_see_copies();
  __syncthreads();
  attention.run();
  DecodeAttention::store(args, work, shared);
  if (args.beside_earlier) wait_for_earlier_kernels();
}

}  // namespace

int enqueue_latent_decodes(const LatentAttention& args, Stream stream) {
  CUtensorMap map;
  if (const int error = make_line_map(map, args.pages)) return error;
  LaunchShape shape;
  shape.grid = dim3(1, (args.heads + kHeads - 1) / kHeads, args.chunks);
  shape.block = dim3(kThreads);
  shape.shared_bytes = sizeof(DecodeShared);
  const int error = allow_shared(latent_decode_attention, shape.shared_bytes);
  return error ? error : launch(latent_decode_attention, shape, stream, args, map);
}

}  // namespace spillway::kernels
