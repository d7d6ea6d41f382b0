#include "backends/local/tokenizer/unigram_text.h"

#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <algorithm>
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

std::string applied(const Charsmap& map, std::string_view text) { return map.applied_to(text); }

std::string applied(const Strip& strip, std::string_view text) {
  std::size_t begin = text.size();  // Of what is not blank, and its end.
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [length, is_blank] = first_of(text.substr(at));
    if (!is_blank) begin = std::min(begin, at);
    at += length;
    if (!is_blank) end = at;
  }
  if (!strip.left) begin = 0;
  if (!strip.right) end = text.size();
  return std::string(begin < end ? text.substr(begin, end - begin) : std::string_view());
}

std::string applied(const Replacement& by, std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const std::size_t at = std::min(text.find(by.from), text.size());
    out += text.substr(0, at);
    text.remove_prefix(at);
    std::size_t run = 0;
    do {
      if (!text.substr(run).starts_with(by.from)) break;
      run += by.from.size();
    } while (by.runs);
    const bool stays = by.runs && run < 2 * by.from.size();
    if (run > 0) out += stays ? text.substr(0, run) : std::string_view(by.to);
    text.remove_prefix(run);
  }
  return out;
}

}  // namespace

std::string UnigramText::normalized(std::string_view text) const {
  std::string made(text);
  for (const auto& one : normalizers)
    made = std::visit([&](const auto& normalizer) { return applied(normalizer, made); }, one);
  return made;
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
