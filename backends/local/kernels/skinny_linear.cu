// Linear layers of up to 8 tokens: weights stream once from memory straight into mma fragments.
//
// Sums over k may be taken in any order as long as both operands agree, so a lane takes 16
// contiguous bytes of a weight row where the fragment layout asks for scattered pairs, and the same
// 16 bytes of x: nothing passes through shared memory on its way to the tensor cores. A block owns
// 16 or 32 rows and deals their k to its warps, whose sums meet in shared memory once. The first
// weights are on their way before the kernel waits for its input.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kChunk = 32;  // k that one warp takes with one 16-byte load a lane
constexpr int kRows = 16;   // of an mma tile
constexpr int kScratchStride = kSkinnyTokensMax + 1;  // Spreads the rows of a tile over the banks.

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
template <int Tiles, int Loads, int LoadsX>
class RowStream {
 public:
  static constexpr int kAhead = Loads / (2 * Tiles);  // Chunks of W under way.
  static constexpr int kAheadX = LoadsX;              // Of x, which comes from the L2 or nearer.

  // Asks for the first weights.
  __device__ RowStream(const SkinnyLinear& args, const int (&first_row)[Tiles], Slice slice)
      : slice_(slice), row_bytes_(int64_t{args.k} * 2) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      from_[tile] = static_cast<const char*>(args.weight) +
                    (first_row[tile] + lane / 4) * row_bytes_ + lane % 4 * 16;
    }
#pragma unroll
    for (int u = 0; u < kAhead; ++u) fetch(u, slice.begin + u);
  }

  __device__ void run(const SkinnyLinear& args) {
    const int lane = threadIdx.x % kWarp;
    if (lane / 4 < args.tokens) {
      x_from_ = static_cast<const char*>(args.x) + lane / 4 * row_bytes_ + lane % 4 * 16;
    }
    if (args.norm_weight) norm_from_ = static_cast<const char*>(args.norm_weight) + lane % 4 * 16;
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
      const char* at = from_[tile] + chunk * (kChunk * 2);
      w_[slot][tile][0] = load_weights(at);
      w_[slot][tile][1] = load_weights(at + 8 * row_bytes_);
    }
  }

  __device__ void fetch_x(int slot, int chunk) {
    x_[slot] = {};
    if (chunk >= slice_.end) return;
    if (x_from_) x_[slot] = *reinterpret_cast<const Bf16x8*>(x_from_ + chunk * (kChunk * 2));
    if (norm_from_)
      norm_[slot] = *reinterpret_cast<const Bf16x8*>(norm_from_ + chunk * (kChunk * 2));
  }

  __device__ void multiply(int slot) {
    Bf16x8 b = x_[slot % kAheadX];
    if (norm_from_) squares += weigh(b, norm_[slot % kAheadX]);
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const Bf16x8& low = w_[slot][tile][0];
      const Bf16x8& high = w_[slot][tile][1];
      mma_16x8x16(sum[tile], low.pair[0], high.pair[0], low.pair[1], high.pair[1], b.pair[0],
                  b.pair[1]);
      mma_16x8x16(sum[tile], low.pair[2], high.pair[2], low.pair[3], high.pair[3], b.pair[2],
                  b.pair[3]);
    }
  }

  const Slice slice_;
  const int64_t row_bytes_;
  const char* from_[Tiles];
  const char* x_from_ = nullptr;
  const char* norm_from_ = nullptr;
  Bf16x8 w_[kAhead][Tiles][2];
  Bf16x8 x_[kAheadX];
  Bf16x8 norm_[kAheadX];
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
    return int64_t{i / rows} * args.n + blockIdx.x * rows + i % rows;
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

// `addend` is what lies in place of this thread's first output.
template <int Tiles, int Warps>
__device__ void finish(const SkinnyLinear& args, const Scratch<Tiles, Warps>& scratch,
                       const Outputs<Tiles>& outputs, float addend) {
  for (int i = threadIdx.x; i < outputs.count; i += Warps * kWarp) {
    const int token = i / outputs.rows;
    const int row = i % outputs.rows;
    const float scale = args.norm_weight ? scratch.inverse_rms(args, token) : 1.0f;
    float value = scale * scratch.total(row, token);
    if (args.epilogue == kSiluMul) {
      value = value / (1.0f + __expf(-value)) * scale * scratch.total(row + kRows, token);
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

template <int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
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
  const Slice slice = slice_of(args.k / kChunk, threadIdx.x / kWarp, Warps);
  RowStream<Tiles, Loads, LoadsX> stream(args, first_row, slice);
  wait_for_earlier_kernels();
  const Outputs<Tiles> outputs(args);
  const float addend = before(args, outputs, threadIdx.x);
  stream.run(args);
  scratch.put(stream);
  __syncthreads();
  finish(args, scratch, outputs, addend);
}

// `Loads` 16-byte loads of W in flight a lane and `LoadsX` of x, `Blocks` blocks on a
// multiprocessor.
template <int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
int enqueue(const SkinnyLinear& args, Stream stream) {
  const int rows = args.epilogue == kSiluMul ? kRows : Tiles * kRows;
  LaunchShape shape;
  shape.grid = dim3(args.n / rows);
  shape.block = dim3(Warps * kWarp);
  return launch(skinny_linear<Tiles, Warps, Loads, LoadsX, Blocks>, shape, stream, args);
}

}  // namespace

// Which block shape streams fastest was measured for each kind of layer: PERFORMANCE.md.
extern "C" int spillway_skinny_linear(const SkinnyLinear* args, Stream stream) {
  constexpr int kMultiprocessors = 132;
  constexpr int kManyRows = 12'000;  // A vocabulary: several waves of blocks with two tiles each.
  constexpr int kLong = 2048;  // k that gives every warp more chunks than it asks for at once.
  const bool supported = args->tokens >= 1 && args->tokens <= kSkinnyTokensMax &&
                         args->n % kRows == 0 && args->k % kChunk == 0;
  if (!supported) return cudaErrorInvalidValue;
  const bool is_long = args->k >= kLong;
  if (args->epilogue == kSiluMul && !is_long) return enqueue<2, 8, 16, 2, 2>(*args, stream);
  const bool many = args->n >= kManyRows && args->n % (2 * kRows) == 0;
  if (args->epilogue == kSiluMul || many) return enqueue<2, 4, 16, 4, 4>(*args, stream);
  const int blocks = args->n / kRows;
  if (blocks <= kMultiprocessors) return enqueue<1, 16, 8, 2, 1>(*args, stream);
  if (blocks > 2 * kMultiprocessors) return enqueue<1, 8, 8, 2, 3>(*args, stream);
  return is_long ? enqueue<1, 8, 16, 4, 2>(*args, stream) : enqueue<1, 8, 16, 2, 2>(*args, stream);
}

}  // namespace spillway::kernels
