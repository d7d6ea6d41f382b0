// The byte-level alphabet: GPT-2's way of writing any byte as a printable character, used by
// vocabularies and merges.
//
// Printable Latin-1 bytes stand for themselves; the other 68, in order, are U+0100 onwards. Pure;
// any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spillway::tokenizer {

// The character that stands for a byte, in UTF-8.
std::string alphabet_character(unsigned char byte);

// The bytes that a token's text stands for; nothing if it has a character outside the alphabet.
std::optional<std::string> bytes_from_alphabet(std::string_view text);

}  // namespace spillway::tokenizer
