// How a folder's config.json says that its matrices are quantized.
//
// Pure; any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/json_internal.h"

#include <cstdint>

namespace spillway::loader {

// gptq, awq: four bits, eight rows or columns to a word, as these programs store them. rows: four
// bits, eight columns of a row to a word (compressed-tensors). e4m3: eight bits, floating.
enum class Packing { none, gptq, awq, rows, e4m3 };

struct Quantization {
  Packing packing = Packing::none;
  std::int64_t group = 0;          // Of four bits: columns that share a scale; 0: all of a row.
  bool zeros_less_one = false;     // As GPTQ's first version keeps zero points.
  std::int64_t scale_rows = 0;     // Of e4m3: the block that shares a scale…
  std::int64_t scale_columns = 0;  // …where that is neither the matrix nor a row.
};

// Packing::none where the config says nothing. An error names the key and what is read instead.
Result<Quantization> quantization_of(const Json& config);

}  // namespace spillway::loader
