// Bytes as text of four characters for each three (RFC 4648), and back. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spillway::wire {

std::string base64_of(std::string_view bytes);

// With or without its padding. Nothing: it is no base64.
std::optional<std::string> bytes_of_base64(std::string_view text);

// What a data URL says in base64, or all of a text without such a beginning. Empty: it is no
// base64.
std::string_view base64_in(std::string_view data);

}  // namespace spillway::wire
