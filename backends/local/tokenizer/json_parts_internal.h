// What the readers of the kinds of tokenizer.json share.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/json_internal.h"
#include "backends/local/tokenizer/frame.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

using loader::at_or_null;
using loader::Json;

Error wrong(const std::string& what);

// Empty where it is no text.
std::string_view text_at(const Json& object, std::string_view key);

bool is_set(const Json& object, std::string_view key);

// The parts of a Sequence, and of those in it, or the one part itself; none of null.
std::vector<const Json*> parts_of(const Json& part, std::string_view list);

// What a Split or a Replace looks for, whether it is written as a regular expression or as a text.
std::string_view pattern_of(const Json& part);

// A Metaspace's. Files from before there was a scheme say add_prefix_space.
std::string_view prepend_scheme_of(const Json& metaspace);

// For an error's message.
std::string shown(const Json& part);

// Puts a token under its id: nothing but its own text may stand there.
Result<void> put_token(std::string_view text, const Json& id,
                       std::vector<std::string_view>& tokens);

// What the post-processor of a whole file puts around a text. Errors name the part that is another,
// or is none of `tokens`.
Result<Frame> frame_of(const Json& json, std::span<const std::string_view> tokens);

}  // namespace spillway::tokenizer
