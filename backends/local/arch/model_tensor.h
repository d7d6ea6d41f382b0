// A tensor of a model file that must be there, of a known shape and of a type that can be read.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <cstdint>
#include <string>

namespace spillway::local {

// The tensor lives as long as the file. invalid_request names it and says what it is instead.
Result<const loader::Tensor*> model_tensor(const loader::ModelFile& file, const std::string& name,
                                           std::int64_t rows, std::int64_t columns);

}  // namespace spillway::local
