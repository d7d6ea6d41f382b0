// Linear layers of up to 8 tokens: weights stream once from memory straight into mma fragments.
//
// Sums over k may be taken in any order as long as both operands agree, so a lane takes 16
// contiguous bytes of a weight row where the fragment layout asks for scattered pairs, and the same
// 16 bytes of x: nothing passes through shared memory on its way to the tensor cores. A block owns
// 16 or 32 rows and deals their k to its warps, whose sums meet in shared memory once. The first
// weights are on their way before the kernel waits for its input.
//
// Packed weights become bf16 in registers. E4M3 does by moving bits: exponent and mantissa land
// where bf16 has them, which makes every weight 2^-120 of what it is. x is multiplied by 2^60 on
// the way in, so that products stay far from the ends of fp32, and the scale of the row by 2^60 at
// the end. Integers come out exactly; the 64 bytes of a row that a warp takes at once are one group
// of int4, whose sums are scaled before they join the others.
#include "backends/local/kernels/e4m3.cuh"
#include "backends/local/kernels/integer_weights.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kChunkBytes = 64;  // of a row of weights that one warp takes with one load a lane
constexpr int kRows = 16;        // of an mma tile
constexpr int kScratchStride = kSkinnyTokensMax + 1;  // Spreads the rows of a tile over the banks.

// Weights in 16 bytes.
template <int Format>
constexpr int kWeightsOfVector = Format == kBf16   ? 8
                                 : Format == kInt4 ? 32
                                                   : 16;

// Bytes of a row of k weights.
template <int Format>
__host__ __device__ int64_t row_bytes_of(int k) {
  if (Format == kInt4) return int64_t{groups_of(k)} * kChunkBytes;
  return int64_t{k} * (16 / kWeightsOfVector<Format>);
}

struct Slice {
  int begin;  // chunks of k
  int end;
};

__device__ inline Slice slice_of(int chunks, int part, int parts) {
  return {chunks * part / parts, chunks * (part + 1) / parts};
}

// v · weight, rounded; returns the squares of v.
__device__ float weigh(Bf16x8& v, const Bf16x8& weight) {
  float squares = 0.0f;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 w = unpack(weight.pair[p]);
    squares += a.x * a.x + a.y * a.y;
    v.pair[p] = pack(a.x * w.x, a.y * w.y);
  }
  return squares;
}

// One warp's share of k: streams rows of W and multiplies them with all tokens. Lane 4g + t holds
// rows g and g + 8 of every tile, and x of token g. Where a norm is asked for, x is multiplied by
// its weight here and by 1/rms at the very end, so that one pass over x is enough.
template <int Format, int Tiles, int Loads, int LoadsX>
class RowStream {
 public:
  static constexpr int kVectorsX = kWeightsOfVector<Format> / 8;  // of x that a lane takes
  static constexpr int kChunk = 4 * kWeightsOfVector<Format>;     // k of it
  static constexpr int kAhead = Loads / (2 * Tiles);              // Chunks of W under way.
  static constexpr int kAheadX = LoadsX / kVectorsX;  // Of x, which comes from the L2 or nearer.

  // Asks for the first weights. `rows` are all that the matrix has.
  __device__ RowStream(const SkinnyLinear& args, const int (&first_row)[Tiles], int rows,
                       Slice slice)
      : slice_(slice), row_bytes_(row_bytes_of<Format>(args.k)), rows_(rows), vectors_(args.k / 8) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const int row = first_row[tile] + lane / 4;
      from_[tile] = static_cast<const char*>(args.weight) + row * row_bytes_ + lane % 4 * 16;
      if (Format == kInt4) scales_[tile] = static_cast<const __nv_bfloat16*>(args.scales) + row;
    }
#pragma unroll
    for (int u = 0; u < kAhead; ++u) fetch(u, slice.begin + u);
  }

  __device__ void run(const SkinnyLinear& args) {
    const int lane = threadIdx.x % kWarp;
    if (lane / 4 < args.tokens) {
      x_from_ = static_cast<const Bf16x8*>(args.x) + int64_t{lane / 4} * (args.k / 8) +
                lane % 4 * kVectorsX;
    }
    if (args.norm_weight) {
      norm_from_ = static_cast<const Bf16x8*>(args.norm_weight) + lane % 4 * kVectorsX;
    }
#pragma unroll
    for (int u = 0; u < kAheadX; ++u) fetch_x(u, slice_.begin + u);
    for (int chunk = slice_.begin; chunk < slice_.end; chunk += kAhead) {
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        if (chunk + u >= slice_.end) break;
        multiply(u);
        fetch_x(u % kAheadX, chunk + u + kAheadX);
        fetch(u, chunk + u + kAhead);
      }
    }
    squares += __shfl_xor_sync(kAllLanes, squares, 1);
    squares += __shfl_xor_sync(kAllLanes, squares, 2);
  }

  float sum[Tiles][4] = {};
  float squares = 0.0f;  // of this share of token g

 private:
  __device__ void fetch(int slot, int chunk) {
    if (chunk >= slice_.end) return;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const char* at = from_[tile] + chunk * kChunkBytes;
      w_[slot][tile][0] = load_weights(at);
      w_[slot][tile][1] = load_weights(at + 8 * row_bytes_);
      if constexpr (Format == kInt4) {
        const __nv_bfloat16* of_group = scales_[tile] + int64_t{chunk} * rows_;
        scale_[slot][tile][0] = __bfloat162float(of_group[0]);
        scale_[slot][tile][1] = __bfloat162float(of_group[8]);
      }
    }
  }

  __device__ void fetch_x(int slot, int chunk) {
#pragma unroll
    for (int i = 0; i < kVectorsX; ++i) {
      x_[slot][i] = {};
      if (Format == kInt4) norm_[slot][i] = {};
      if (chunk >= slice_.end || beyond(chunk, i)) continue;
      if (x_from_) x_[slot][i] = x_from_[chunk * (kChunk / 8) + i];
      if (norm_from_) norm_[slot][i] = norm_from_[chunk * (kChunk / 8) + i];
    }
  }

  // Whether there is no such vector of x: the last group of int4 may be a part of one.
  __device__ bool beyond(int chunk, int i) const {
    if (Format != kInt4) return false;
    return chunk * (kChunk / 8) + threadIdx.x % 4 * kVectorsX + i >= vectors_;
  }

  __device__ void multiply(int slot) {
    Bf16x8 b[kVectorsX];
#pragma unroll
    for (int i = 0; i < kVectorsX; ++i) {
      b[i] = x_[slot % kAheadX][i];
      if (norm_from_) squares += weigh(b[i], norm_[slot % kAheadX][i]);
      if (Format == kE4m3) lift(b[i].pair);
    }
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const Bf16x8& low = w_[slot][tile][0];
      const Bf16x8& high = w_[slot][tile][1];
      if constexpr (Format == kInt4) {
        float of_group[4] = {};
        multiply_vectors(of_group, low, high, b);
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[tile][i] += of_group[i] * scale_[slot][tile][i / 2];
      } else {
        multiply_vectors(sum[tile], low, high, b);
      }
    }
  }

  static __device__ void multiply_vectors(float (&d)[4], const Bf16x8& low, const Bf16x8& high,
                                          const Bf16x8 (&x)[kVectorsX]) {
    if constexpr (Format == kBf16) {
      mma_16x8x16(d, low.pair[0], high.pair[0], low.pair[1], high.pair[1], x[0].pair[0],
                  x[0].pair[1]);
      mma_16x8x16(d, low.pair[2], high.pair[2], low.pair[3], high.pair[3], x[0].pair[2],
                  x[0].pair[3]);
    } else {
#pragma unroll
      for (int word = 0; word < 4; ++word) {
        uint32_t a[kPairs], c[kPairs];
        widen(low.pair[word], a);
        widen(high.pair[word], c);
#pragma unroll
        for (int p = 0; p < kPairs; p += 2) {
          const int at = word * kPairs + p;
          const uint32_t* b = x[at / 4].pair + at % 4;
          mma_16x8x16(d, a[p], c[p], a[p + 1], c[p + 1], b[0], b[1]);
        }
      }
    }
  }

  // Pairs of bf16 that a word of packed weights becomes.
  static constexpr int kPairs = kWeightsOfVector<Format> / 8;

  static __device__ void widen(uint32_t word, uint32_t (&pair)[kPairs]) {
    if constexpr (Format == kE4m3) unpack_e4m3(word, pair);
    if constexpr (Format == kInt8) widen_int8(word, pair);
    if constexpr (Format == kInt4) widen_int4(word, pair);
  }

  const Slice slice_;
  const int64_t row_bytes_;
  const int rows_;
  const int vectors_;  // Of x, in a row.
  const char* from_[Tiles];
  const __nv_bfloat16* scales_[Tiles];  // Of int4, and of the first group.
  float scale_[kAhead][Tiles][2];       // Of the groups under way.
  const Bf16x8* x_from_ = nullptr;
  const Bf16x8* norm_from_ = nullptr;
  Bf16x8 w_[kAhead][Tiles][2];
  Bf16x8 x_[kAheadX][kVectorsX];
  Bf16x8 norm_[kAheadX][kVectorsX];
};

// Where the sums of the warps meet.
template <int Tiles, int Warps>
struct Scratch {
  float sum[Warps][Tiles * kRows * kScratchStride];
  float squares[Warps][kSkinnyTokensMax];

  template <class Stream>
  __device__ void put(const Stream& stream) {
    const int lane = threadIdx.x % kWarp;
    const int warp = threadIdx.x / kWarp;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = tile * kRows + lane / 4 + i / 2 * 8;
        sum[warp][row * kScratchStride + lane % 4 * 2 + i % 2] = stream.sum[tile][i];
      }
    }
    if (lane % 4 == 0) squares[warp][lane / 4] = stream.squares;
  }

  __device__ float total(int row, int token) const {
    float value = 0.0f;
#pragma unroll
    for (int warp = 0; warp < Warps; ++warp) value += sum[warp][row * kScratchStride + token];
    return value;
  }

  __device__ float inverse_rms(const SkinnyLinear& args, int token) const {
    float value = 0.0f;
#pragma unroll
    for (int warp = 0; warp < Warps; ++warp) value += squares[warp][token];
    return rsqrtf(value / args.k + args.epsilon);
  }
};

// Which output number i of a block is.
template <int Tiles>
struct Outputs {
  __device__ explicit Outputs(const SkinnyLinear& args)
      : rows(args.epilogue == kSiluMul ? kRows : Tiles * kRows), count(rows * args.tokens) {}
  __device__ int64_t at(const SkinnyLinear& args, int i) const {
    return int64_t{i / rows} * args.out_stride + blockIdx.x * rows + i % rows;
  }
  int rows;
  int count;
};

// What is in place of output i before, if that counts.
template <int Tiles>
__device__ float before(const SkinnyLinear& args, const Outputs<Tiles>& outputs, int i) {
  if (args.epilogue != kAddBf16 || i >= outputs.count) return 0.0f;
  return __bfloat162float(static_cast<const __nv_bfloat16*>(args.out)[outputs.at(args, i)]);
}

// What the sums of a row of weights are multiplied by.
template <int Format>
__device__ float scale_of(const SkinnyLinear& args, int64_t row) {
  if (Format == kInt4 || args.scales == nullptr) return 1.0f;
  const float scale = static_cast<const float*>(args.scales)[row];
  return Format == kE4m3 ? scale * 0x1p60f : scale;
}

// `addend` is what lies in place of this thread's first output.
template <int Format, int Tiles, int Warps>
__device__ void finish(const SkinnyLinear& args, const Scratch<Tiles, Warps>& scratch,
                       const Outputs<Tiles>& outputs, float addend) {
  for (int i = threadIdx.x; i < outputs.count; i += Warps * kWarp) {
    const int token = i / outputs.rows;
    const int row = i % outputs.rows;
    const float scale = args.norm_weight ? scratch.inverse_rms(args, token) : 1.0f;
    const int64_t weight_row = int64_t{blockIdx.x} * outputs.rows + row;
    float value = scale * scale_of<Format>(args, weight_row) * scratch.total(row, token);
    if (args.epilogue == kSiluMul) {
      const float up =
          scale_of<Format>(args, args.n + weight_row) * scratch.total(row + kRows, token);
      value = value / (1.0f + __expf(-value)) * scale * up;
    }
    value += i == threadIdx.x ? addend : before(args, outputs, i);
    const int64_t at = outputs.at(args, i);
    if (args.epilogue == kStoreFloat) {
      static_cast<float*>(args.out)[at] = value;
    } else {
      static_cast<__nv_bfloat16*>(args.out)[at] = __float2bfloat16(value);
    }
  }
}

template <int Format, int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
__global__ void __launch_bounds__(Warps* kWarp, Blocks) skinny_linear(SkinnyLinear args) {
  __shared__ Scratch<Tiles, Warps> scratch;
  let_next_kernel_start();
  const bool silu = args.epilogue == kSiluMul;
  int first_row[Tiles];
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
    first_row[tile] =
        silu ? blockIdx.x * kRows + tile * args.n : (blockIdx.x * Tiles + tile) * kRows;
  }
  using Rows = RowStream<Format, Tiles, Loads, LoadsX>;
  const int chunks = (args.k + Rows::kChunk - 1) / Rows::kChunk;
  const Slice slice = slice_of(chunks, threadIdx.x / kWarp, Warps);
  Rows stream(args, first_row, silu ? 2 * args.n : args.n, slice);
  wait_for_earlier_kernels();
  const Outputs<Tiles> outputs(args);
  const float addend = before(args, outputs, threadIdx.x);
  stream.run(args);
  scratch.put(stream);
  __syncthreads();
  finish<Format>(args, scratch, outputs, addend);
}

// `Loads` 16-byte loads of W in flight a lane and `LoadsX` of x, `Blocks` blocks on a
// multiprocessor.
template <int Format, int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
int enqueue(const SkinnyLinear& args, Stream stream) {
  const int rows = args.epilogue == kSiluMul ? kRows : Tiles * kRows;
  LaunchShape shape;
  shape.grid = dim3(args.n / rows);
  shape.block = dim3(Warps * kWarp);
  return launch(skinny_linear<Format, Tiles, Warps, Loads, LoadsX, Blocks>, shape, stream, args);
}

constexpr int kMultiprocessors = 132;
constexpr int kLong = 2048;  // k that gives every warp more chunks than it asks for at once.

// Which block shape streams fastest was measured for each kind of layer: PERFORMANCE.md.
int enqueue_bf16(const SkinnyLinear& args, Stream stream) {
  constexpr int kManyRows = 12'000;  // A vocabulary: several waves of blocks with two tiles each.
  const bool is_long = args.k >= kLong;
  if (args.epilogue == kSiluMul && !is_long) return enqueue<kBf16, 2, 8, 16, 2, 2>(args, stream);
  const bool many = args.n >= kManyRows && args.n % (2 * kRows) == 0;
  if (args.epilogue == kSiluMul || many) return enqueue<kBf16, 2, 4, 16, 4, 4>(args, stream);
  const int blocks = args.n / kRows;
  if (blocks <= kMultiprocessors) return enqueue<kBf16, 1, 16, 8, 2, 1>(args, stream);
  if (blocks > 2 * kMultiprocessors) return enqueue<kBf16, 1, 8, 8, 2, 3>(args, stream);
  return is_long ? enqueue<kBf16, 1, 8, 16, 4, 2>(args, stream)
                 : enqueue<kBf16, 1, 8, 16, 2, 2>(args, stream);
}

// Of E4M3 and int8.
template <int Format>
int enqueue_bytes(const SkinnyLinear& args, Stream stream) {
  if (args.epilogue == kSiluMul) {
    return args.k >= kLong ? enqueue<Format, 2, 4, 8, 4, 5>(args, stream)
                           : enqueue<Format, 2, 8, 8, 4, 2>(args, stream);
  }
  if (args.n / kRows <= kMultiprocessors) return enqueue<Format, 1, 16, 8, 4, 1>(args, stream);
  if (args.n % (2 * kRows) != 0) return enqueue<Format, 1, 8, 8, 8, 2>(args, stream);
  const bool one_wave = args.n / (2 * kRows) <= kMultiprocessors;
  return one_wave ? enqueue<Format, 2, 8, 16, 8, 1>(args, stream)
                  : enqueue<Format, 2, 8, 8, 4, 2>(args, stream);
}

int enqueue_int4(const SkinnyLinear& args, Stream stream) {
  if (args.epilogue == kSiluMul) return enqueue<kInt4, 2, 4, 8, 4, 4>(args, stream);
  if (args.n / kRows <= kMultiprocessors) return enqueue<kInt4, 1, 16, 4, 4, 1>(args, stream);
  if (args.n % (2 * kRows) != 0) return enqueue<kInt4, 1, 8, 4, 4, 2>(args, stream);
  const bool one_wave = args.n / (2 * kRows) <= kMultiprocessors;
  return one_wave ? enqueue<kInt4, 2, 8, 16, 4, 1>(args, stream)
                  : enqueue<kInt4, 2, 8, 8, 4, 2>(args, stream);
}

// What k must be a multiple of.
int grain_of(int format) { return format == kE4m3 || format == kInt8 ? 64 : 32; }

}  // namespace

extern "C" int spillway_skinny_linear(const SkinnyLinear* args, Stream stream) {
  const bool supported = args->tokens >= 1 && args->tokens <= kSkinnyTokensMax &&
                         args->n % kRows == 0 && args->k % grain_of(args->format) == 0;
  if (!supported) return cudaErrorInvalidValue;
  SkinnyLinear whole = *args;
  if (whole.out_stride == 0) whole.out_stride = whole.n;
  switch (whole.format) {
    case kBf16: return enqueue_bf16(whole, stream);
    case kE4m3: return enqueue_bytes<kE4m3>(whole, stream);
    case kInt8: return enqueue_bytes<kInt8>(whole, stream);
    case kInt4: return enqueue_int4(whole, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace spillway::kernels
