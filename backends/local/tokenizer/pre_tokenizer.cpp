#include "backends/local/tokenizer/pre_tokenizer.h"

#include "backends/local/tokenizer/characters_internal.h"
#include "backends/local/tokenizer/spelling.h"

#include <algorithm>
#include <cassert>

namespace spillway::tokenizer {
namespace {

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

// What lies between two words is together, too.
std::size_t deepseek_words_end(std::string_view text, std::size_t begin) {
  const std::size_t matched = deepseek_words_match(text, begin);
  if (matched > begin) return matched;
  std::size_t at = begin;
  while (at < text.size() && deepseek_words_match(text, at) == at)
    at += character_at(text, at).length;
  return at;
}

// A word of [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+, or of the same with * and +
// exchanged, which is tried where the first finds none.
struct CasedWord {
  std::size_t end;
  bool is_first;
};

CasedWord cased_word_at(std::string_view text, std::size_t begin) {
  std::size_t capitals = begin;  // Behind them, and behind the last that is of both classes.
  std::size_t both = begin;
  for (Character c = character_at(text, capitals); c.is(kUpper | kMark);
       c = character_at(text, capitals)) {
    capitals += c.length;
    if (c.is(kLower | kMark)) both = capitals;
  }
  const std::size_t end = run_end(text, capitals, kLower | kMark);
  if (end > capitals) return {end, true};
  return both > begin ? CasedWord{both, true} : CasedWord{capitals, false};
}

std::size_t tekken_end(std::string_view text, std::size_t begin) {
  const Character first = character_at(text, begin);
  const std::size_t after = begin + first.length;
  const bool leads = !first.is_newline() && !first.is(kLetter | kNumber);
  const CasedWord word = cased_word_at(text, leads ? after : begin);
  if (first.is(kMark) && !word.is_first) return after;  // A mark is a word, too.
  if (word.end > (leads ? after : begin)) return word.end;
  if (first.is(kNumber)) return after;

  const std::size_t other = text[begin] == ' ' ? after : begin;
  if (!character_at(text, other).is_other()) return blanks_end(text, begin);
  std::size_t at = other_run_end(text, other);
  while (at < text.size() && (text[at] == '/' || text[at] == '\r' || text[at] == '\n')) ++at;
  return at;
}

// \s+$, where $ is the end of a line; what lies between together.
std::size_t line_end_spaces_end(std::string_view text, std::size_t begin) {
  for (std::size_t at = begin; at < text.size();) {
    const std::size_t end = run_end(text, at, kSpace);
    if (end == at) {
      at += character_at(text, at).length;
      continue;
    }
    const std::size_t newline = text.substr(at, end - at).rfind('\n');
    const bool has_line = newline != std::string_view::npos && newline > 0;
    if (end == text.size() || has_line) {
      if (at > begin) return at;
      return end == text.size() ? end : at + newline;
    }
    at = end;
  }
  return text.size();
}

std::size_t before_marked_space_end(std::string_view text, std::size_t begin) {
  return std::min(text.find(kMarkedSpace, begin + 1), text.size());
}

std::size_t known_end(KnownSplit rule, std::string_view text, std::size_t begin) {
  switch (rule) {
    case KnownSplit::each_digit: return each_digit_end(text, begin);
    case KnownSplit::gpt2: return gpt2_end(text, begin);
    case KnownSplit::llama3: return llama3_end(text, begin, 3);
    case KnownSplit::qwen: return llama3_end(text, begin, 1);
    case KnownSplit::tekken: return tekken_end(text, begin);
    case KnownSplit::deepseek_words: return deepseek_words_end(text, begin);
    case KnownSplit::line_end_spaces: return line_end_spaces_end(text, begin);
    case KnownSplit::before_marked_space: return before_marked_space_end(text, begin);
  }
  return text.size();
}

}  // namespace

std::size_t piece_end(const SplitRule& rule, std::string_view text, std::size_t begin) {
  assert(begin < text.size());
  if (const auto* known = std::get_if<KnownSplit>(&rule)) return known_end(*known, text, begin);
  const auto& run = std::get<ClassRun>(rule);
  const std::size_t matched = run.match_end(text, begin);
  return matched > begin ? matched : run.find(text, begin);
}

}  // namespace spillway::tokenizer
