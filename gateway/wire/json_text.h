// Writes JSON by hand where it is written for each token. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::wire {

// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD each.
void append_json_string(std::string& out, std::string_view text);

// Appends null for an empty text.
void append_json_string_or_null(std::string& out, std::string_view text);

void append_json_number(std::string& out, std::int64_t number);

}  // namespace spillway::wire
