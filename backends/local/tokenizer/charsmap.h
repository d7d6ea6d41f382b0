// SentencePiece's table of what is written anew before a text is cut ("precompiled_charsmap"),
// applied as the `tokenizers` library's Precompiled normalizer does it, which is not quite as
// SentencePiece does.
//
// Immutable once made; any thread.
#pragma once

#include "backends/contract/error.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

class Charsmap {
 public:
  // Of a tokenizer.json. The error says what is wrong with it.
  static Result<Charsmap> from_base64(std::string_view text);

  // Each grapheme of less than six bytes that begins with an entry becomes what that entry says, as
  // a whole; and so does each character of the others. Bytes that are not UTF-8 stay.
  std::string applied_to(std::string_view text) const;

 private:
  Charsmap(std::vector<std::uint32_t> units, std::string texts);

  void put_grapheme(std::string_view grapheme, std::string& out) const;

  // What becomes of a text that begins with an entry, the shortest of several.
  std::optional<std::string_view> anew(std::string_view text) const;

  std::vector<std::uint32_t> units_;   // A double array, as the library Darts makes it.
  std::string texts_;                  // Each ends with a zero.
  std::array<bool, 256> stays_alone_;  // Plain ASCII, which is no entry.
};

}  // namespace spillway::tokenizer
