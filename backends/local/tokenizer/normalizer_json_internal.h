// The normalizers of a tokenizer.json, for each kind's reader.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/json_parts_internal.h"
#include "backends/local/tokenizer/normalizer.h"

#include <cstddef>

namespace spillway::tokenizer {

inline constexpr std::size_t kNormalizersMax = 16;

// Errors name the part that is another.
Result<Normalizer> normalizer_of(const Json& part);

}  // namespace spillway::tokenizer
