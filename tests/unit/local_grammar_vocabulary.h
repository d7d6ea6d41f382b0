// A vocabulary to try forms with: ASCII and é byte by byte, and a few longer tokens.
#pragma once

#include "backends/local/grammar/grammar.h"

#include <string>
#include <string_view>

namespace spillway::local::grammar {

inline Vocabulary small_vocabulary() {
  Vocabulary vocabulary{{""}, {0}};
  for (char c = 1; c > 0; ++c) {
    vocabulary.bytes.push_back({c});
    if (c == 127) break;
  }
  for (const std::string_view token : {"\xC3", "\xA9", "true", "false", "null", "{\"", "\":", "\"}",
                                       "[]", "ab", "abc", "12", "  ", "\n  "})
    vocabulary.bytes.emplace_back(token);
  return vocabulary;
}

inline bool allows(Mask mask, std::int32_t token) {
  return (mask[static_cast<std::size_t>(token) / 32] >> (token % 32) & 1) != 0;
}

}  // namespace spillway::local::grammar
