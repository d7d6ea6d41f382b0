// Causal attention of prompt chunks over paged keys and values: FlashAttention-2 on mma.sync.
//
// The query heads that share a kv head are packed into the rows of one matrix, row r being token r
// / ratio and head r % ratio, so that short chunks fill tiles too. A block owns 64 such rows (16 a
// warp) and walks the keys in tiles of 64, two stages deep. Blocks with the most keys start first.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kRows = 16 * kWarps;
constexpr int kKeys = 64;
constexpr int kStages = 2;
constexpr float kLog2E = 1.4426950408889634f;

template <int Width>
struct Tile {
  __nv_bfloat16 data[64 * Width];
};

template <int Width>
struct Shared {
  Tile<Width> q;
  Tile<Width> k[kStages];
  Tile<Width> v[kStages];
};

// 16-byte pieces of a row are permuted by the row, so that 8 rows of one column lie in 8 different
// bank groups.
template <int Width>
__device__ uint32_t piece_address(const Tile<Width>& tile, int row, int piece) {
  const int at = row * (Width / 8) + (piece ^ (row % 8));
  return static_cast<uint32_t>(__cvta_generic_to_shared(tile.data + at * 8));
}

__device__ void copy_async(uint32_t to, const void* from, bool exists) {
  const int bytes = exists ? 16 : 0;  // The rest is filled with zeros.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}

__device__ void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
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
  int keys;  // that the last row sees

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

template <int Width>
__device__ void copy_keys(const PrefillAttention& args, const Work& work, int tile, Tile<Width>& k,
                          Tile<Width>& v) {
  const int sequence =
      args.chunk_sequence ? args.chunk_sequence[blockIdx.z] : static_cast<int>(blockIdx.z);
  const int32_t* table = args.page_table + int64_t{sequence} * args.page_stride;
#pragma unroll
  for (int j = 0; j < kKeys * Width / 8 / kThreads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    const int row = i / (Width / 8);
    const int piece = i % (Width / 8);
    const int key = tile * kKeys + row;
    const bool exists = key < work.keys;
    const int64_t page = exists ? table[key / kPageTokens] : 0;
    const int64_t at =
        ((page * args.kv_heads + work.kv_head) * kPageTokens + key % kPageTokens) * Width +
        piece * 8;
    copy_async(piece_address(k, row, piece), static_cast<const __nv_bfloat16*>(args.keys) + at,
               exists);
    copy_async(piece_address(v, row, piece), static_cast<const __nv_bfloat16*>(args.values) + at,
               exists);
  }
}

// One warp's 16 rows. Lane 4g + t holds rows g and g + 8.
template <int Width>
class RowBlock {
 public:
  static constexpr int kSteps = Width / 16;  // of 16 dimensions, for Q·Kᵀ
  static constexpr int kTiles = Width / 8;   // of 8 dimensions, for P·V

  __device__ void load_queries(const Tile<Width>& tile) {
    const int lane = threadIdx.x % kWarp;
    const int row = threadIdx.x / kWarp * 16 + lane % 16;
#pragma unroll
    for (int step = 0; step < kSteps; ++step)
      load_matrices(q_[step], piece_address(tile, row, step * 2 + lane / 16));
  }

  // `last_key[h]`: the last key that row g + 8h sees; `first_key` is the tile's.
  __device__ void take(const Tile<Width>& k, const Tile<Width>& v, const int (&last_key)[2],
                       int first_key, float scale) {
    float s[kKeys / 8][4] = {};
    score(k, s);
    const bool masked = first_key + kKeys - 1 > min(last_key[0], last_key[1]);
    if (masked) mask(s, last_key, first_key);
    soften(s, scale);
    accumulate(v, s);
  }

  __device__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float& sum = denominator_[half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      const float scale = sum > 0.0f ? 1.0f / sum : 0.0f;
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        out[tile][2 * half] *= scale;
        out[tile][2 * half + 1] *= scale;
      }
    }
  }

  float out[kTiles][4] = {};

 private:
  __device__ void score(const Tile<Width>& k, float (&s)[kKeys / 8][4]) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int pair = 0; pair < kKeys / 16; ++pair) {
        uint32_t
            b[4];  // keys 0…7 and 8…15 of the pair, each at dimensions 0…7 and 8…15 of the step
        load_matrices(
            b, piece_address(k, pair * 16 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
        mma_16x8x16(s[2 * pair], q_[step][0], q_[step][1], q_[step][2], q_[step][3], b[0], b[1]);
        mma_16x8x16(s[2 * pair + 1], q_[step][0], q_[step][1], q_[step][2], q_[step][3], b[2],
                    b[3]);
      }
    }
  }

  __device__ static void mask(float (&s)[kKeys / 8][4], const int (&last_key)[2], int first_key) {
#pragma unroll
    for (int tile = 0; tile < kKeys / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = first_key + tile * 8 + threadIdx.x % 4 * 2 + i % 2;
        if (key > last_key[i / 2]) s[tile][i] = -INFINITY;
      }
    }
  }

  // s becomes exp2(s · scale - maximum), after what was accumulated is rescaled to the new maximum.
  __device__ void soften(float (&s)[kKeys / 8][4], float scale) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = maximum_[half];
#pragma unroll
      for (int tile = 0; tile < kKeys / 8; ++tile) {
        top = fmaxf(top, fmaxf(s[tile][2 * half], s[tile][2 * half + 1]));
      }
      top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
      top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
      const float base = top == -INFINITY ? 0.0f : top * scale;
      const float shrink = exp2f(maximum_[half] * scale - base);
      maximum_[half] = top;
      float sum = 0.0f;
#pragma unroll
      for (int tile = 0; tile < kKeys / 8; ++tile) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          s[tile][i] = exp2f(s[tile][i] * scale - base);
          sum += s[tile][i];
        }
      }
      denominator_[half] = denominator_[half] * shrink + sum;
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        out[tile][2 * half] *= shrink;
        out[tile][2 * half + 1] *= shrink;
      }
    }
  }

  __device__ void accumulate(const Tile<Width>& v, const float (&p)[kKeys / 8][4]) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int pair = 0; pair < kKeys / 16; ++pair) {
      const uint32_t a0 = pack(p[2 * pair][0], p[2 * pair][1]);
      const uint32_t a1 = pack(p[2 * pair][2], p[2 * pair][3]);
      const uint32_t a2 = pack(p[2 * pair + 1][0], p[2 * pair + 1][1]);
      const uint32_t a3 = pack(p[2 * pair + 1][2], p[2 * pair + 1][3]);
#pragma unroll
      for (int tile = 0; tile < kTiles; tile += 2) {
        uint32_t b[4];  // dimensions 0…7 and 8…15 of the tile pair, each at keys 0…7 and 8…15
        load_matrices_transposed(b, piece_address(v, pair * 16 + lane % 16, tile + lane / 16));
        mma_16x8x16(out[tile], a0, a1, a2, a3, b[0], b[1]);
        mma_16x8x16(out[tile + 1], a0, a1, a2, a3, b[2], b[3]);
      }
    }
  }

  uint32_t q_[kSteps][4];
  float maximum_[2] = {-INFINITY, -INFINITY};
  float denominator_[2] = {};
};

template <int Width>
__device__ void store_rows(const PrefillAttention& args, const Work& work,
                           const RowBlock<Width>& rows) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = threadIdx.x / kWarp * 16 + lane / 4 + 8 * half;
    if (!work.exists(row)) continue;
    const int64_t at =
        (int64_t{work.row_start + work.token(row)} * args.q_heads + work.head(row)) * Width;
    auto* to = reinterpret_cast<uint32_t*>(static_cast<__nv_bfloat16*>(args.out) + at) + lane % 4;
#pragma unroll
    for (int tile = 0; tile < RowBlock<Width>::kTiles; ++tile) {
      to[tile * 4] = pack(rows.out[tile][2 * half], rows.out[tile][2 * half + 1]);
    }
  }
}

template <int Width>
__global__ void __launch_bounds__(kThreads) prefill_attention(PrefillAttention args) {
  extern __shared__ __align__(128) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<Width>*>(raw);
  wait_for_earlier_kernels();
  let_next_kernel_start();  // Only now: decode attention may start with what this kernel had to
                            // wait for.
  const Work work = work_of_block(args);
  if (work.begin >= work.packed) return;
  const int tiles = (work.keys + kKeys - 1) / kKeys;
  copy_queries(args, work, shared.q);
  copy_keys(args, work, 0, shared.k[0], shared.v[0]);
  asm volatile("cp.async.commit_group;" ::: "memory");

  const int g = threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4;
  const int last_key[2] = {work.first_position + work.token(g),
                           work.first_position + work.token(g + 8)};
  RowBlock<Width> rows;
  for (int tile = 0; tile < tiles; ++tile) {
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();  // The tile is there, and nobody reads the other stage any more.
    if (tile + 1 < tiles) {
      copy_keys(args, work, tile + 1, shared.k[(tile + 1) % kStages],
                shared.v[(tile + 1) % kStages]);
      asm volatile("cp.async.commit_group;" ::: "memory");
    }
    if (tile == 0) rows.load_queries(shared.q);
    rows.take(shared.k[tile % kStages], shared.v[tile % kStages], last_key, tile * kKeys,
              args.scale * kLog2E);
  }
  rows.finish();
  store_rows(args, work, rows);
}

template <int Width>
int enqueue(const PrefillAttention& args, Stream stream) {
  const int ratio = args.q_heads / args.kv_heads;
  LaunchShape shape;
  shape.grid = dim3((args.rows_max * ratio + kRows - 1) / kRows, args.kv_heads, args.chunks);
  shape.block = dim3(kThreads);
  shape.shared_bytes = sizeof(Shared<Width>);
  const int error = allow_shared(prefill_attention<Width>, shape.shared_bytes);
  return error ? error : launch(prefill_attention<Width>, shape, stream, args);
}

}  // namespace

extern "C" int spillway_prefill_attention(const PrefillAttention* args, Stream stream) {
  const bool supported =
      (args->head_width == 64 || args->head_width == 128) && args->q_heads % args->kv_heads == 0;
  if (!supported) return cudaErrorInvalidValue;
  if (args->chunks == 0 || args->rows_max == 0) return cudaSuccess;
  return args->head_width == 64 ? enqueue<64>(*args, stream) : enqueue<128>(*args, stream);
}

}  // namespace spillway::kernels
