// A GGUF file (version 2 or 3, little-endian).
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <string>

namespace spillway::loader {

// Errors say what is wrong and at which byte, after the path.
Result<ModelContents> read_gguf(const std::string& path);

}  // namespace spillway::loader
