// Causal attention of prompt chunks over paged keys and values: FlashAttention-2 on mma.sync.
//
// The query heads that share a kv head are packed into the rows of one matrix, row r being token r
// / ratio and head r % ratio, so that short chunks fill tiles too. A block owns 64 such rows (16 a
// warp) and walks the keys in tiles of 64, two stages deep. Blocks with the most keys start first.
#include "backends/local/kernels/key_tiles.cuh"

namespace spillway::kernels {
namespace {

constexpr float kLog2E = 1.4426950408889634f;

// The scales of a tile of E4M3.
struct KeyScales {
  const float* keys;
  const float* values;
};

template <int Width>
__device__ KeyScales scales_of(const Shared<Width, true>& shared, int tile) {
  const PackedKeyTiles<Width>& packed = shared.packed[tile % kStages];
  return {packed.k.scale, packed.v.scale};
}

template <int Width>
__device__ KeyScales scales_of(const Shared<Width, false>&, int) {
  return {};
}

// What becomes of a product of query and key.
struct Scores {
  float scale;  // Of what is left at the end, in units of log2.
  float cap;    // Of the product itself; 0: none.
  int window;   // Keys that a row sees at most; 0: all.
};

// Whether the queries stay in registers, instead of being read again for each tile of keys.
template <int Width>
constexpr bool kKeepsQueries = Width <= 128;

// One warp's 16 rows. Lane 4g + t holds rows g and g + 8. Numbers of E4M3 are 2^-120 of their size:
// factors of 2^60 on queries and on P, and again on what comes out, make that good.
template <int Width, bool E4m3>
class RowBlock {
 public:
  static constexpr int kSteps = Width / 16;  // of 16 dimensions, for Q·Kᵀ
  static constexpr int kTiles = Width / 8;   // of 8 dimensions, for P·V
  static constexpr float kUnlift = E4m3 ? 0x1p60f : 1.0f;

  __device__ void load_queries(const Tile<Width>& tile) {
    if constexpr (kKeepsQueries<Width>) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) load_query(tile, step, q_[step]);
    }
  }

  // `last_key[h]`: the last key that row g + 8h sees; `first_key` is the tile's.
  __device__ void take(const Tile<Width>& q, const KeyTiles<Width>& tiles, const KeyScales& scales,
                       const int (&last_key)[2], int first_key, const Scores& scores) {
    float s[kKeys / 8][4] = {};
    score(q, tiles.k, s);
    if constexpr (E4m3) scale_keys(s, scales.keys);
    if (scores.cap > 0.0f) cap(s, scores.cap);
    const bool ends = first_key + kKeys - 1 > min(last_key[0], last_key[1]);
    if (ends) mask_after(s, last_key, first_key);
    const bool begins =
        scores.window > 0 && first_key <= max(last_key[0], last_key[1]) - scores.window;
    if (begins) mask_before(s, last_key, first_key + scores.window);
    soften(s, scores.scale);
    if constexpr (E4m3) scale_keys(s, scales.values);
    accumulate(tiles.v, s);
  }

  __device__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float& sum = denominator_[half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      const float scale = sum > 0.0f ? kUnlift / sum : 0.0f;
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        out[tile][2 * half] *= scale;
        out[tile][2 * half + 1] *= scale;
      }
    }
  }

  float out[kTiles][4] = {};

 private:
  __device__ static void load_query(const Tile<Width>& tile, int step, uint32_t (&q)[4]) {
    const int lane = threadIdx.x % kWarp;
    const int row = threadIdx.x / kWarp * 16 + lane % 16;
    load_matrices(q, piece_address(tile, row, step * 2 + lane / 16));
    if constexpr (E4m3) lift(q);
  }

  __device__ void score(const Tile<Width>& queries, const Tile<Width>& k,
                        float (&s)[kKeys / 8][4]) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      uint32_t again[4];
      if constexpr (!kKeepsQueries<Width>) load_query(queries, step, again);
      const uint32_t (&q)[4] = kKeepsQueries<Width> ? q_[step] : again;
#pragma unroll
      for (int pair = 0; pair < kKeys / 16; ++pair) {
        uint32_t
            b[4];  // keys 0…7 and 8…15 of the pair, each at dimensions 0…7 and 8…15 of the step
        load_matrices(
            b, piece_address(k, pair * 16 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
        mma_16x8x16(s[2 * pair], q[0], q[1], q[2], q[3], b[0], b[1]);
        mma_16x8x16(s[2 * pair + 1], q[0], q[1], q[2], q[3], b[2], b[3]);
      }
    }
  }

  // Each key's column times its scale, and by what the product lacks or will lack.
  __device__ static void scale_keys(float (&s)[kKeys / 8][4], const float* scales) {
#pragma unroll
    for (int tile = 0; tile < kKeys / 8; ++tile) {
      const auto scale = *reinterpret_cast<const float2*>(scales + tile * 8 + threadIdx.x % 4 * 2);
#pragma unroll
      for (int i = 0; i < 4; ++i) s[tile][i] *= (i % 2 == 0 ? scale.x : scale.y) * kUnlift;
    }
  }

  __device__ static void cap(float (&s)[kKeys / 8][4], float most) {
#pragma unroll
    for (int tile = 0; tile < kKeys / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) s[tile][i] = soft_cap(s[tile][i], most);
    }
  }

  __device__ static int column(int tile, int i) { return tile * 8 + threadIdx.x % 4 * 2 + i % 2; }

  __device__ static void mask_after(float (&s)[kKeys / 8][4], const int (&last_key)[2],
                                    int first_key) {
#pragma unroll
    for (int tile = 0; tile < kKeys / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (first_key + column(tile, i) > last_key[i / 2]) s[tile][i] = -INFINITY;
      }
    }
  }

  // `first_end`: the first position that does not see the tile's first key any more.
  __device__ static void mask_before(float (&s)[kKeys / 8][4], const int (&last_key)[2],
                                     int first_end) {
#pragma unroll
    for (int tile = 0; tile < kKeys / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (first_end + column(tile, i) <= last_key[i / 2]) s[tile][i] = -INFINITY;
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

  uint32_t q_[kKeepsQueries<Width> ? kSteps : 1][4];
  float maximum_[2] = {-INFINITY, -INFINITY};
  float denominator_[2] = {};
};

template <int Width, bool E4m3>
__device__ void store_rows(const PrefillAttention& args, const Work& work,
                           const RowBlock<Width, E4m3>& rows) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = threadIdx.x / kWarp * 16 + lane / 4 + 8 * half;
    if (!work.exists(row)) continue;
    const int64_t at =
        (int64_t{work.row_start + work.token(row)} * args.q_heads + work.head(row)) * Width;
    auto* to = reinterpret_cast<uint32_t*>(static_cast<__nv_bfloat16*>(args.out) + at) + lane % 4;
#pragma unroll
    for (int tile = 0; tile < rows.kTiles; ++tile) {
      to[tile * 4] = pack(rows.out[tile][2 * half], rows.out[tile][2 * half + 1]);
    }
  }
}

template <int Width, bool E4m3>
__global__ void __launch_bounds__(kThreads) prefill_attention(PrefillAttention args) {
  extern __shared__ __align__(128) unsigned char raw[];
  auto& shared = *reinterpret_cast<Shared<Width, E4m3>*>(raw);
  wait_for_earlier_kernels();
  let_next_kernel_start();  // Only now: decode attention may start with what this kernel had to
                            // wait for.
  const Work work = work_of_block(args);
  if (work.begin >= work.packed) return;
  const int first_tile = work.first_key / kKeys;
  const int tiles = (work.keys + kKeys - 1) / kKeys;
  copy_queries(args, work, shared.q);
  copy_keys(args, work, first_tile, stage_of(shared, first_tile));
  asm volatile("cp.async.commit_group;" ::: "memory");

  const int g = threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4;
  const int last_key[2] = {work.first_position + work.token(g),
                           work.first_position + work.token(g + 8)};
  const Scores scores = {args.scale * kLog2E, args.score_cap / args.scale, args.window};
  RowBlock<Width, E4m3> rows;
  for (int tile = first_tile; tile < tiles; ++tile) {
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();  // The tile is there, and nobody reads the other stage any more.
    if (tile + 1 < tiles) {
      copy_keys(args, work, tile + 1, stage_of(shared, tile + 1));
      asm volatile("cp.async.commit_group;" ::: "memory");
    }
    if (tile == first_tile) rows.load_queries(shared.q);
    const KeyTiles<Width>& keys = tile_of(shared, tile);
    rows.take(shared.q, keys, scales_of(shared, tile), last_key, tile * kKeys, scores);
  }
  rows.finish();
  store_rows(args, work, rows);
}

template <int Width, bool E4m3>
int enqueue(const PrefillAttention& args, Stream stream) {
  const int ratio = args.q_heads / args.kv_heads;
  LaunchShape shape;
  shape.grid = dim3((args.rows_max * ratio + kRows - 1) / kRows, args.kv_heads, args.chunks);
  shape.block = dim3(kThreads);
  shape.shared_bytes = sizeof(Shared<Width, E4m3>);
  const int error = allow_shared(prefill_attention<Width, E4m3>, shape.shared_bytes);
  return error ? error : launch(prefill_attention<Width, E4m3>, shape, stream, args);
}

template <bool E4m3>
int enqueue(const PrefillAttention& args, Stream stream) {
  switch (args.head_width) {
    case 64: return enqueue<64, E4m3>(args, stream);
    case 128: return enqueue<128, E4m3>(args, stream);
    case 256: return enqueue<256, E4m3>(args, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace

extern "C" int spillway_prefill_attention(const PrefillAttention* args, Stream stream) {
  if (args->q_heads % args->kv_heads != 0) return cudaErrorInvalidValue;
  if (args->chunks == 0 || args->rows_max == 0) return cudaSuccess;
  return args->key_scales ? enqueue<true>(*args, stream) : enqueue<false>(*args, stream);
}

}  // namespace spillway::kernels
