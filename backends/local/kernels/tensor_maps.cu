#include "backends/local/kernels/latent_kernels.h"
#include "backends/local/kernels/tensor_maps.h"

#include <cudaTypedefs.h>
#include <cuda_runtime.h>

namespace spillway::kernels {
namespace {

constexpr int kDriverVersion = 12000;  // Since when it is there.
constexpr cuuint32_t kColumns = 64;
constexpr cuuint32_t kRowsTogether = 8;  // Of gate, or of up.

PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error = cudaGetDriverEntryPointByVersion(
      "cuTensorMapEncodeTiled", &function, kDriverVersion, cudaEnableDefault, &found);
  const bool there = error == cudaSuccess && found == cudaDriverEntryPointSuccess;
  return there ? reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function) : nullptr;
}

// What elements are, and how tiles of them are permuted.
struct Kind {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
};

// The innermost dimension and its tile come first; strides are of the others, in bytes.
template <int Dimensions>
int encode(CUtensorMap& map, const void* data, const cuuint64_t (&size)[Dimensions],
           const cuuint64_t (&stride)[Dimensions - 1], const cuuint32_t (&tile)[Dimensions],
           Kind kind = {}) {
  static const PFN_cuTensorMapEncodeTiled_v12000 function = encoder();
  if (function == nullptr) return cudaErrorNotSupported;
  constexpr cuuint32_t kStep[] = {1, 1, 1, 1, 1};
  const CUresult result =
      function(&map, kind.type, Dimensions, const_cast<void*>(data), size, stride, tile, kStep,
               CU_TENSOR_MAP_INTERLEAVE_NONE, kind.swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
               CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace

int make_weight_map(CUtensorMap& map, const GroupedLinear& args, int tile_rows) {
  const bool is_bf16 = args.format == kBf16;
  const bool is_integer = !is_bf16 && args.format != kE4m3;
  const auto k = static_cast<cuuint64_t>(args.k);
  const cuuint64_t columns = args.format == kInt4 ? (k + 127) / 128 * 64 : k;
  const cuuint64_t row = is_bf16 ? 2 * columns : columns;
  const auto rows = static_cast<cuuint64_t>(args.n);
  const cuuint32_t parts = args.silu_mul ? 2 : 1;
  // Columns; rows that lie together; gate and up; which rows; the group.
  const cuuint64_t size[5] = {columns, kRowsTogether, parts, rows / kRowsTogether,
                              static_cast<cuuint64_t>(args.groups)};
  const cuuint64_t stride[4] = {row, rows * row, kRowsTogether * row, parts * rows * row};
  const cuuint32_t tile[5] = {args.format == kE4m3 ? 2 * kColumns : kColumns, kRowsTogether, parts,
                              static_cast<cuuint32_t>(tile_rows) / (parts * kRowsTogether), 1};
  if (is_bf16) return encode(map, args.weight, size, stride, tile);
  return encode(map, args.weight, size, stride, tile,
                {CU_TENSOR_MAP_DATA_TYPE_UINT8,
                 is_integer ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_128B});
}

int make_line_map(CUtensorMap& map, const void* pages) {
  constexpr cuuint64_t kLinesMax = 1u << 31;  // Page tables name none that is not there.
  const cuuint64_t size[2] = {kLatentLine, kLinesMax};
  const cuuint64_t stride[1] = {kLatentLine * 2};
  const cuuint32_t tile[2] = {kColumns, kPageTokens};
  return encode(map, pages, size, stride, tile);
}

int make_row_map(CUtensorMap& map, const void* data, int rows, int columns, int tile_rows) {
  const cuuint64_t size[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t stride[1] = {static_cast<cuuint64_t>(columns) * 2};
  const cuuint32_t tile[2] = {kColumns, static_cast<cuuint32_t>(tile_rows)};
  return encode(map, data, size, stride, tile);
}

int make_packed_map(CUtensorMap& map, const void* data, int rows, int row_bytes, int tile_rows) {
  const cuuint64_t size[2] = {static_cast<cuuint64_t>(row_bytes), static_cast<cuuint64_t>(rows)};
  const cuuint64_t stride[1] = {static_cast<cuuint64_t>(row_bytes)};
  const cuuint32_t tile[2] = {64, static_cast<cuuint32_t>(tile_rows)};
  return encode(map, data, size, stride, tile,
                {CU_TENSOR_MAP_DATA_TYPE_UINT8, CU_TENSOR_MAP_SWIZZLE_64B});
}

}  // namespace spillway::kernels
