// Turns stored rows into float32, exactly as ggml's reference dequantisers do (bit for bit).
//
// Pure functions, any thread; callers that want speed give different row ranges to different
// threads. Formulas are ggml's block formats (ggml-quants.c); x = d * q [+ m] per block, see each
// format in dequantize.cpp.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/tensor.h"

#include <cstdint>
#include <span>

namespace spillway::loader {

// F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool can_dequantize(TensorType type);

// Writes `rows` rows from `first_row` on. Requires: the range lies in the tensor, out.size() ==
// rows * columns(). An error only if the type has no dequantiser.
Result<void> dequantize(const Tensor& tensor, std::int64_t first_row, std::int64_t rows,
                        std::span<float> out);

// The whole tensor.
Result<void> dequantize(const Tensor& tensor, std::span<float> out);

}  // namespace spillway::loader
