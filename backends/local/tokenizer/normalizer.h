// What the `tokenizers` library's normalizers do to a text before it is cut.
//
// Plain values and pure functions; any thread. Bytes that are not UTF-8 stay as they are.
#pragma once

#include "backends/local/tokenizer/charsmap.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::tokenizer {

// What is blank at an end is left out.
struct Strip {
  bool left = false;
  bool right = false;
};

struct Replacement {
  std::string from;  // Not empty.
  std::string to;
  bool runs = false;  // Only of two or more in a row, and then of all of them.
};

// NFC, NFD, NFKC, NFKD.
struct UnicodeForm {
  bool composes = true;
  bool compatible = false;  // Of what only looks otherwise the plain characters: ﬁ is f and i.
};

struct Lowercase {};
struct StripAccents {};  // Marks are left out; a letter that has one in itself stays.

using Normalizer = std::variant<Charsmap, Strip, Replacement, UnicodeForm, Lowercase, StripAccents>;

// One after the other. `held` keeps what they make, if they make something of the text.
std::string_view normalized(std::span<const Normalizer> normalizers, std::string_view text,
                            std::string& held);

// How many bytes of text become one, at most; nothing where any number may.
std::optional<std::size_t> most_shrunk(std::span<const Normalizer> normalizers);

}  // namespace spillway::tokenizer
