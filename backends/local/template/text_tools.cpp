#include "backends/local/template/text_tools.h"

#include "backends/local/utf8.h"

#include <algorithm>

namespace spillway::templates {
namespace {

using local::utf8::Character;
using local::utf8::decode;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_upper(c) || is_lower(c) || (c & 0x80) != 0; }
char lower(char c) { return is_upper(c) ? static_cast<char>(c + ('a' - 'A')) : c; }
char upper(char c) { return is_lower(c) ? static_cast<char>(c - ('a' - 'A')) : c; }

// The last character before `end`.
std::string_view character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (text[begin] & 0xC0) == 0x80) --begin;
  return text.substr(begin, end - begin);
}

bool strips(std::string_view character, const std::string_view* set) {
  if (set) return set->find(character) != std::string_view::npos;
  return is_python_space(decode(character).code);
}

bool is_line_end(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

}  // namespace

std::vector<std::size_t> character_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  offsets.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size(); at += decode(text.substr(at)).length) {
    offsets.push_back(at);
  }
  offsets.push_back(text.size());
  return offsets;
}

std::size_t character_count(std::string_view text) { return character_offsets(text).size() - 1; }

bool is_python_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

MarkedText stripped(const MarkedText& text, Side side, const std::string_view* set) {
  const std::string_view bytes = text.bytes();
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (side != Side::right && begin < end) {
    const std::size_t length = decode(bytes.substr(begin)).length;
    if (!strips(bytes.substr(begin, length), set)) break;
    begin += length;
  }
  while (side != Side::left && begin < end) {
    const std::string_view last = character_before(bytes, end);
    if (!strips(last, set)) break;
    end -= last.size();
  }
  return text.between(begin, std::max(begin, end));
}

std::vector<MarkedText> lines_of(const MarkedText& text, bool keep_ends) {
  const std::string_view bytes = text.bytes();
  std::vector<MarkedText> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const Character character = decode(bytes.substr(at));
    std::size_t next = at + character.length;
    if (!is_line_end(character.code)) {
      at = next;
      continue;
    }
    if (character.code == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
    lines.push_back(text.between(begin, keep_ends ? next : at));
    begin = at = next;
  }
  if (begin < bytes.size()) lines.push_back(text.between(begin, bytes.size()));
  return lines;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), upper);
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out = to_lower(text);
  if (!out.empty()) out[0] = upper(out[0]);
  return out;
}

std::string to_title(std::string_view text) {
  std::string out(text);
  bool in_word = false;
  for (char& c : out) {
    c = in_word ? lower(c) : upper(c);
    in_word = is_letter(c);
  }
  return out;
}

MarkedText replaced(const MarkedText& text, std::string_view old, const MarkedText& with,
                    std::int64_t count) {
  MarkedText out;
  std::size_t begin = 0;
  while (count != 0) {
    const std::size_t found = text.bytes().find(old, begin);
    if (found == std::string_view::npos) break;
    out.append(text.between(begin, found));
    out.append(with);
    begin = found + old.size();
    --count;
  }
  out.append(text.between(begin, text.size()));
  return out;
}

}  // namespace spillway::templates
