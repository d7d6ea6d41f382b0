// What an answer of OpenAI's protocol says that it used. Pure; any thread.
#pragma once

#include "backends/contract/chat.h"

#include <optional>
#include <string_view>

namespace spillway::cloud::openai {

// What is counted: an answer that a model wrote, or what it read where it writes none.
enum class Counted { written, read };

// Of a `usage` object, which may be null; what is not counted here goes into `beside`. Nothing
// where it counts no prompt, or less than nothing: that is no count, and not an answer for free.
// A sum alone counts only where nothing is written.
std::optional<Usage> usage_of(std::string_view object, Counted counted, Beside& beside);

// What Cohere's `meta` says, beside a `usage` or in its place: tokens, and a ranking's search
// units.
void add_meta(std::string_view meta, std::optional<Usage>& usage);

}  // namespace spillway::cloud::openai
