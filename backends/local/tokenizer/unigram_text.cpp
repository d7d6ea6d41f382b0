#include "backends/local/tokenizer/unigram_text.h"

#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <cstddef>

namespace spillway::tokenizer {
namespace {

struct First {
  std::size_t length;
  bool is_blank;
};

First first_of(std::string_view text) {
  const auto character = local::utf8::decode(text);
  const bool whole = character.quality == local::utf8::Quality::whole;
  return {character.length, whole && (classes_of(character.code) & kSpace) != 0};
}

}  // namespace

std::string UnigramText::normalized(std::string_view text) const {
  std::string held;
  return std::string(tokenizer::normalized(normalizers, text, held));
}

std::size_t UnigramText::blank_bytes(std::string_view text) {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const auto [length, is_blank] = first_of(text.substr(bytes));
    if (!is_blank) break;
    bytes += length;
  }
  return bytes;
}

std::size_t UnigramText::word_bytes(std::string_view text) {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const auto [length, is_blank] = first_of(text.substr(bytes));
    if (is_blank) break;
    bytes += length;
  }
  return bytes;
}

void UnigramText::mark(std::string_view raw, std::string& word) const {
  const bool is_marked = raw.starts_with(' ') || raw.starts_with(kMarkedSpace);
  word.clear();
  if (prepends_mark && !is_marked) word = kMarkedSpace;
  for (const char c : raw) {
    if (c == ' ') {
      word += kMarkedSpace;
    } else {
      word.push_back(c);
    }
  }
}

}  // namespace spillway::tokenizer
