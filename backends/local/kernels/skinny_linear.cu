// Linear layers of up to 8 tokens: which block shape streams which weights (row_stream.cuh), and
// what is made of the sums.
#include "backends/local/kernels/row_stream.cuh"

namespace spillway::kernels {
namespace {

__host__ __device__ bool is_gated(int epilogue) {
  return epilogue == kSiluMul || epilogue == kGeluMul;
}

// Which output number i of a block is.
template <int Tiles>
struct Outputs {
  __device__ explicit Outputs(const SkinnyLinear& args)
      : rows(is_gated(args.epilogue) ? kRows : Tiles * kRows), count(rows * args.tokens) {}
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

// `addend` is what lies in place of this thread's first output.
template <int Format, int Tiles, int Warps>
__device__ void finish(const SkinnyLinear& args, const Scratch<Tiles, Warps>& scratch,
                       const Outputs<Tiles>& outputs, float addend) {
  for (int i = threadIdx.x; i < outputs.count; i += Warps * kWarp) {
    const int token = i / outputs.rows;
    const int row = i % outputs.rows;
    const float scale = args.norm_weight ? scratch.inverse_rms(args.k, args.epsilon, token) : 1.0f;
    const int64_t weight_row = int64_t{blockIdx.x} * outputs.rows + row;
    float value = scale * row_scale<Format>(args.scales, weight_row) * scratch.total(row, token);
    if (is_gated(args.epilogue)) {
      const float up =
          row_scale<Format>(args.scales, args.n + weight_row) * scratch.total(row + kRows, token);
      value = (args.epilogue == kGeluMul ? gelu(value) : silu(value)) * scale * up;
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
  const bool gated = is_gated(args.epilogue);
  int first_row[Tiles];
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
    first_row[tile] =
        gated ? blockIdx.x * kRows + tile * args.n : (blockIdx.x * Tiles + tile) * kRows;
  }
  using Rows = RowStream<Format, Tiles, Loads, LoadsX>;
  const int chunks = (args.k + Rows::kChunk - 1) / Rows::kChunk;
  const Slice slice = slice_of(chunks, threadIdx.x / kWarp, Warps);
  Rows stream(args.weight, args.scales, args.k, first_row, gated ? 2 * args.n : args.n, slice);
  wait_for_earlier_kernels();
  const Outputs<Tiles> outputs(args);
  const float addend = before(args, outputs, threadIdx.x);
  const int token = threadIdx.x % kWarp / 4;
  const auto* x = static_cast<const __nv_bfloat16*>(args.x) + int64_t{token} * args.k;
  stream.run(token < args.tokens ? x : nullptr, args.norm_weight);
  scratch.put(stream);
  __syncthreads();
  finish<Format>(args, scratch, outputs, addend);
}

// `Loads` 16-byte loads of W in flight a lane and `LoadsX` of x, `Blocks` blocks on a
// multiprocessor.
template <int Format, int Tiles, int Warps, int Loads, int LoadsX, int Blocks>
int enqueue(const SkinnyLinear& args, Stream stream) {
  const int rows = is_gated(args.epilogue) ? kRows : Tiles * kRows;
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
  if (is_gated(args.epilogue) && !is_long) return enqueue<kBf16, 2, 8, 16, 2, 2>(args, stream);
  const bool many = args.n >= kManyRows && args.n % (2 * kRows) == 0;
  if (is_gated(args.epilogue) || many) return enqueue<kBf16, 2, 4, 16, 4, 4>(args, stream);
  const int blocks = args.n / kRows;
  if (blocks <= kMultiprocessors) return enqueue<kBf16, 1, 16, 8, 2, 1>(args, stream);
  if (blocks > 2 * kMultiprocessors) return enqueue<kBf16, 1, 8, 8, 2, 3>(args, stream);
  return is_long ? enqueue<kBf16, 1, 8, 16, 4, 2>(args, stream)
                 : enqueue<kBf16, 1, 8, 16, 2, 2>(args, stream);
}

// Of E4M3 and int8.
template <int Format>
int enqueue_bytes(const SkinnyLinear& args, Stream stream) {
  if (is_gated(args.epilogue)) {
    return args.k >= kLong ? enqueue<Format, 2, 4, 8, 4, 5>(args, stream)
                           : enqueue<Format, 2, 8, 8, 4, 2>(args, stream);
  }
  if (args.n / kRows <= kMultiprocessors) return enqueue<Format, 1, 16, 8, 4, 1>(args, stream);
  if (args.n % (2 * kRows) != 0) return enqueue<Format, 1, 8, 8, 8, 2>(args, stream);
  const bool one_wave = args.n / (2 * kRows) <= kMultiprocessors;
  return one_wave ? enqueue<Format, 2, 8, 16, 8, 1>(args, stream)
                  : enqueue<Format, 2, 8, 8, 4, 2>(args, stream);
}

// Of any that is_int4.
template <int Format>
int enqueue_int4(const SkinnyLinear& args, Stream stream) {
  if (is_gated(args.epilogue)) return enqueue<Format, 2, 4, 8, 4, 4>(args, stream);
  if (args.n / kRows <= kMultiprocessors) return enqueue<Format, 1, 16, 4, 4, 1>(args, stream);
  if (args.n % (2 * kRows) != 0) return enqueue<Format, 1, 8, 4, 4, 2>(args, stream);
  const bool one_wave = args.n / (2 * kRows) <= kMultiprocessors;
  return one_wave ? enqueue<Format, 2, 8, 16, 4, 1>(args, stream)
                  : enqueue<Format, 2, 8, 8, 4, 2>(args, stream);
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
    case kInt4: return enqueue_int4<kInt4>(whole, stream);
    case kInt4Zeros: return enqueue_int4<kInt4Zeros>(whole, stream);
    case kInt4Zeros64: return enqueue_int4<kInt4Zeros64>(whole, stream);
    case kInt4Zeros32: return enqueue_int4<kInt4Zeros32>(whole, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace spillway::kernels
