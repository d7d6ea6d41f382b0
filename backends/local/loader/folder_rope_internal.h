// What a config says of rotary positions, in GGUF's words.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/json_internal.h"
#include "backends/local/loader/metadata.h"

#include <string>

namespace spillway::loader {

// Adds the keys below `prefix`. Errors name a scaling or a number that is not read.
Result<void> add_rope(const Json& config, const std::string& prefix, Metadata& out);

}  // namespace spillway::loader
