#include "backends/local/tokenizer/pre_tokenizer.h"

#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <array>
#include <cassert>

namespace spillway::tokenizer {
namespace {

constexpr ClassSet ascii_classes(unsigned c) {
  if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return kLetter;
  if (c >= '0' && c <= '9') return kNumber | kDigit;
  if (c == ' ' || (c >= '\t' && c <= '\r')) return kSpace;
  return 0;
}

// What the rules ask of ASCII, without the way through the big table.
constexpr auto kAscii = [] {
  std::array<ClassSet, 128> classes{};
  for (unsigned c = 0; c < classes.size(); ++c) classes[c] = ascii_classes(c);
  return classes;
}();

struct Character {
  char32_t code = 0;
  ClassSet classes = 0;
  std::size_t length = 0;  // 0 at the end of the text.

  bool exists() const { return length != 0; }
  bool is(ClassSet any_of) const { return (classes & any_of) != 0; }
  bool is_newline() const { return exists() && (code == '\r' || code == '\n'); }
  // [^\s\p{L}\p{N}]
  bool is_other() const { return exists() && !is(kLetter | kNumber | kSpace); }
};

Character character_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 128) return {byte, kAscii[byte], 1};
  const auto decoded = local::utf8::decode_long(text.substr(at));
  if (decoded.quality != local::utf8::Quality::whole) return {0xFFFFFFFF, 0, 1};
  return {decoded.code, classes_of(decoded.code), decoded.length};
}

// The end of the run of characters in `any_of` from `at` on, at most `count_max` of them.
std::size_t run_end(std::string_view text, std::size_t at, ClassSet any_of, int count_max = -1) {
  for (Character c = character_at(text, at); c.is(any_of) && count_max != 0;
       c = character_at(text, at)) {
    at += c.length;
    --count_max;
  }
  return at;
}

std::size_t other_run_end(std::string_view text, std::size_t at) {
  for (Character c = character_at(text, at); c.is_other(); c = character_at(text, at))
    at += c.length;
  return at;
}

std::size_t newlines_end(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == '\r' || text[at] == '\n')) ++at;
  return at;
}

// \s+(?!\S)|\s+ : a run of spaces leaves its last one to the word that follows.
std::size_t spaces_end(std::string_view text, std::size_t begin) {
  std::size_t last = begin;
  std::size_t at = begin;
  for (Character c = character_at(text, at); c.is(kSpace); c = character_at(text, at)) {
    last = at;
    at += c.length;
  }
  const bool before_word = at < text.size();
  return before_word && last > begin ? last : at;
}

// Lower case of the letters that contractions use; U+017F is what (?i:s) matches beside s and S.
char32_t folded(char32_t c) {
  if (c == 0x17F) return 's';
  return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

// 's|'t|'re|'ve|'m|'ll|'d at `begin`, or `begin` if there is none.
std::size_t contraction_end(std::string_view text, std::size_t begin, bool any_case) {
  if (text[begin] != '\'') return begin;
  const Character first = character_at(text, begin + 1);
  const Character second = character_at(text, begin + 1 + first.length);
  const char32_t a = any_case ? folded(first.code) : first.code;
  const char32_t b = any_case ? folded(second.code) : second.code;
  const std::size_t one = begin + 1 + first.length;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return one;
  const bool two = ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l');
  return two ? one + second.length : begin;
}

std::size_t gpt2_end(std::string_view text, std::size_t begin) {
  const std::size_t contraction = contraction_end(text, begin, false);
  if (contraction > begin) return contraction;
  const std::size_t word = text[begin] == ' ' ? begin + 1 : begin;
  const Character first = character_at(text, word);
  if (first.is(kLetter)) return run_end(text, word, kLetter);
  if (first.is(kNumber)) return run_end(text, word, kNumber);
  if (first.is_other()) return other_run_end(text, word);
  return spaces_end(text, begin);
}

std::size_t llama3_end(std::string_view text, std::size_t begin) {
  const std::size_t contraction = contraction_end(text, begin, true);
  if (contraction > begin) return contraction;

  const Character first = character_at(text, begin);
  if (first.is(kLetter)) return run_end(text, begin, kLetter);
  if (first.is(kNumber)) return run_end(text, begin, kNumber, 3);
  const std::size_t after = begin + first.length;
  if (!first.is_newline() && character_at(text, after).is(kLetter))
    return run_end(text, after, kLetter);

  const std::size_t word = text[begin] == ' ' ? begin + 1 : begin;
  if (character_at(text, word).is_other()) return newlines_end(text, other_run_end(text, word));

  const std::size_t spaces =
      run_end(text, begin, kSpace);  // \s*[\r\n]+ ends after the run's last newline.
  const std::size_t newline = text.substr(begin, spaces - begin).find_last_of("\r\n");
  if (newline != std::string_view::npos) return begin + newline + 1;
  return spaces_end(text, begin);
}

// Each digit alone; what lies between digits together.
std::size_t each_digit_end(std::string_view text, std::size_t begin) {
  Character c = character_at(text, begin);
  if (c.is(kDigit)) return begin + c.length;
  std::size_t at = begin;
  for (; c.exists() && !c.is(kDigit); c = character_at(text, at)) at += c.length;
  return at;
}

}  // namespace

std::optional<std::vector<SplitRule>> split_rules_of(std::string_view gguf_name) {
  if (gguf_name == "smollm") return std::vector{SplitRule::each_digit, SplitRule::gpt2};
  if (gguf_name == "gpt-2") return std::vector{SplitRule::gpt2};
  if (gguf_name == "llama-bpe") return std::vector{SplitRule::llama3};
  return std::nullopt;
}

std::size_t piece_end(SplitRule rule, std::string_view text, std::size_t begin) {
  assert(begin < text.size());
  switch (rule) {
    case SplitRule::each_digit: return each_digit_end(text, begin);
    case SplitRule::gpt2: return gpt2_end(text, begin);
    case SplitRule::llama3: return llama3_end(text, begin);
  }
  return text.size();
}

}  // namespace spillway::tokenizer
