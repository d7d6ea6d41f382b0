#include "backends/local/tokenizer/pre_tokenizer.h"

#include "backends/local/tokenizer/spelling.h"
#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace spillway::tokenizer {
namespace {

constexpr bool is_ascii_letter(char32_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

constexpr ClassSet ascii_classes(unsigned c) {
  if (is_ascii_letter(c)) return kLetter;
  if (c >= '0' && c <= '9') return kNumber | kDigit;
  if (c == ' ' || (c >= '\t' && c <= '\r')) return kSpace;
  if (c <= ' ' || c == 127) return 0;
  return std::string_view("$+<=>^`|~").find(static_cast<char>(c)) == std::string_view::npos
             ? kPunctuation
             : kSymbol;
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

// \s*[\r\n]+|\s+(?!\S)|\s+ : the first ends after the run's last newline.
std::size_t blanks_end(std::string_view text, std::size_t begin) {
  const std::size_t spaces = run_end(text, begin, kSpace);
  const std::size_t newline = text.substr(begin, spaces - begin).find_last_of("\r\n");
  if (newline != std::string_view::npos) return begin + newline + 1;
  return spaces_end(text, begin);
}

std::size_t llama3_end(std::string_view text, std::size_t begin, int digits_max) {
  const std::size_t contraction = contraction_end(text, begin, true);
  if (contraction > begin) return contraction;

  const Character first = character_at(text, begin);
  if (first.is(kLetter)) return run_end(text, begin, kLetter);
  if (first.is(kNumber)) return run_end(text, begin, kNumber, digits_max);
  const std::size_t after = begin + first.length;
  if (!first.is_newline() && character_at(text, after).is(kLetter))
    return run_end(text, after, kLetter);

  const std::size_t word = text[begin] == ' ' ? begin + 1 : begin;
  if (character_at(text, word).is_other()) return newlines_end(text, other_run_end(text, word));

  return blanks_end(text, begin);
}

// Each digit alone; what lies between digits together.
std::size_t each_digit_end(std::string_view text, std::size_t begin) {
  Character c = character_at(text, begin);
  if (c.is(kDigit)) return begin + c.length;
  std::size_t at = begin;
  for (; c.exists() && !c.is(kDigit); c = character_at(text, at)) at += c.length;
  return at;
}

// What a rule matches in some places only: where it does, and what lies between, each together.
template <class Match>
std::size_t matched_or_between(std::string_view text, std::size_t begin, const Match& match_end) {
  const std::size_t matched = match_end(text, begin);
  if (matched > begin) return matched;
  std::size_t at = begin;
  while (at < text.size() && match_end(text, at) == at) at += character_at(text, at).length;
  return at;
}

std::size_t three_digits_match(std::string_view text, std::size_t begin) {
  return run_end(text, begin, kNumber, 3);
}

std::size_t chinese_kana_match(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  for (Character c = character_at(text, at); c.exists(); c = character_at(text, at)) {
    const bool chinese = c.code >= 0x4E00 && c.code <= 0x9FA5;
    const bool kana = c.code >= 0x3040 && c.code <= 0x30FF;
    if (!chinese && !kana) break;
    at += c.length;
  }
  return at;
}

std::size_t deepseek_words_match(std::string_view text, std::size_t begin) {
  const Character first = character_at(text, begin);
  const std::size_t after = begin + first.length;
  const bool ascii_mark = first.code < 128 && first.is(kPunctuation | kSymbol);
  if (ascii_mark && after < text.size() &&
      is_ascii_letter(static_cast<unsigned char>(text[after]))) {
    std::size_t at = after;
    while (at < text.size() && is_ascii_letter(static_cast<unsigned char>(text[at]))) ++at;
    return at;
  }
  if (first.is(kLetter | kMark)) return run_end(text, begin, kLetter | kMark);
  const bool may_lead = !first.is_newline() && !first.is(kPunctuation | kSymbol);
  if (may_lead && character_at(text, after).is(kLetter | kMark))
    return run_end(text, after, kLetter | kMark);
  const std::size_t word = text[begin] == ' ' ? after : begin;
  if (character_at(text, word).is(kPunctuation | kSymbol))
    return newlines_end(text, run_end(text, word, kPunctuation | kSymbol));
  return first.is(kSpace) ? blanks_end(text, begin) : begin;
}

std::size_t before_marked_space_end(std::string_view text, std::size_t begin) {
  return std::min(text.find(kMarkedSpace, begin + 1), text.size());
}

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Its newlines are the characters themselves.
constexpr std::string_view kDeepseekPattern =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}"
    "\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

}  // namespace

std::optional<SplitRule> split_rule_of(std::string_view pattern) {
  if (pattern == kLlama3Pattern) return SplitRule::llama3;
  if (pattern == kQwenPattern) return SplitRule::qwen;
  if (pattern == kGpt2Pattern) return SplitRule::gpt2;
  if (pattern == R"(\p{N}{1,3})") return SplitRule::three_digits;
  if (pattern == "[一-龥぀-ゟ゠-ヿ]+") return SplitRule::chinese_kana;
  if (pattern == kDeepseekPattern) return SplitRule::deepseek_words;
  return std::nullopt;
}

std::optional<std::vector<SplitRule>> split_rules_of(std::string_view gguf_name) {
  if (gguf_name == "smollm") return std::vector{SplitRule::each_digit, SplitRule::gpt2};
  if (gguf_name == "gpt-2") return std::vector{SplitRule::gpt2};
  if (gguf_name == "llama-bpe") return std::vector{SplitRule::llama3};
  if (gguf_name == "qwen2") return std::vector{SplitRule::qwen};
  if (gguf_name == "deepseek-r1-qwen") return std::vector{SplitRule::qwen};
  if (gguf_name == "deepseek-v3") {
    return std::vector{SplitRule::three_digits, SplitRule::chinese_kana, SplitRule::deepseek_words};
  }
  return std::nullopt;
}

std::size_t piece_end(SplitRule rule, std::string_view text, std::size_t begin) {
  assert(begin < text.size());
  switch (rule) {
    case SplitRule::each_digit: return each_digit_end(text, begin);
    case SplitRule::gpt2: return gpt2_end(text, begin);
    case SplitRule::llama3: return llama3_end(text, begin, 3);
    case SplitRule::qwen: return llama3_end(text, begin, 1);
    case SplitRule::three_digits: return matched_or_between(text, begin, three_digits_match);
    case SplitRule::chinese_kana: return matched_or_between(text, begin, chinese_kana_match);
    case SplitRule::deepseek_words: return matched_or_between(text, begin, deepseek_words_match);
    case SplitRule::before_marked_space: return before_marked_space_end(text, begin);
  }
  return text.size();
}

}  // namespace spillway::tokenizer
