// The tensors of a safetensors file: a table in JSON, then their bytes.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/tensor.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace spillway::loader {

// In the order of their bytes, under the file's own names; they point into `file`. Errors begin
// with `path` and name the tensor or the byte: a table that is cut off, a type that is not read, a
// shape that its bytes do not fit, bytes that overlap, are left over or are not there.
Result<std::vector<Tensor>> read_safetensors(std::span<const std::byte> file,
                                             const std::string& path);

}  // namespace spillway::loader
