// Embeddings as clients want them: lists of numbers, or base64 of little-endian floats of 32 bits.
// Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace spillway::openai {

enum class Encoding { as_it_comes, numbers, base64 };

// Brings every data[].embedding of `answer` into that encoding; what is none stays as it is.
void encode(nlohmann::json& answer, Encoding encoding);

}  // namespace spillway::openai
