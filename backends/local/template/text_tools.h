// Python's view of text, over UTF-8 bytes: characters, white space, searching.
//
// Pure; any thread. Offsets are bytes.
#pragma once

#include "backends/local/template/marked_text.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::templates {

// Where each character begins, and the end of the text.
std::vector<std::size_t> character_offsets(std::string_view text);

std::size_t character_count(std::string_view text);

// What str.isspace() says.
bool is_python_space(char32_t code);

enum class Side { left, right, both };

// str.strip(): without white space, or without the characters in `set` if it is given.
MarkedText stripped(const MarkedText& text, Side side, const std::string_view* set = nullptr);

// str.splitlines()
std::vector<MarkedText> lines_of(const MarkedText& text, bool keep_ends);

// Letters of ASCII change case; others stay as they are.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
std::string to_capitalized(std::string_view text);
std::string to_title(std::string_view text);

// All occurrences of `old` (at most `count` if that is not negative) replaced. Requires: `old` is
// not empty.
MarkedText replaced(const MarkedText& text, std::string_view old, const MarkedText& with,
                    std::int64_t count);

}  // namespace spillway::templates
