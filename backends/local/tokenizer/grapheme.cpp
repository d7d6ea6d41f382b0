#include "backends/local/tokenizer/grapheme.h"

#include "backends/local/tokenizer/canonical_tables.h"
#include "backends/local/tokenizer/class_table.h"
#include "backends/local/tokenizer/grapheme_tables.h"
#include "backends/local/utf8.h"

#include <cstdint>

namespace spillway::tokenizer {
namespace {

using Classes = std::uint8_t;

constexpr Classes kExtending = 1;
constexpr Classes kPrepended = 2;
constexpr Classes kControl = 4;
constexpr Classes kConjoining = 8;
constexpr Classes kConjoined = 16;
constexpr Classes kPictographic = 32;

constexpr char32_t kZeroWidthJoiner = 0x200D;

Classes classes_of(char32_t code) {
  static const ClassTable table({{extending_ranges, kExtending},
                                 {prepended_ranges, kPrepended},
                                 {control_ranges, kControl},
                                 {conjoining_ranges, kConjoining},
                                 {conjoined_ranges, kConjoined},
                                 {pictographic_ranges, kPictographic}});
  return table[code];
}

enum class Jamo { none, lead, vowel, tail, open_syllable, closed_syllable };

Jamo jamo_of(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (within(0x1100, 0x115F) || within(0xA960, 0xA97C)) return Jamo::lead;
  if (within(0x1160, 0x11A7) || within(0xD7B0, 0xD7C6)) return Jamo::vowel;
  if (within(0x11A8, 0x11FF) || within(0xD7CB, 0xD7FB)) return Jamo::tail;
  if (!hangul::is_syllable(c)) return Jamo::none;
  const bool is_open = (c - hangul::kSyllables) % hangul::kTailCount == 0;
  return is_open ? Jamo::open_syllable : Jamo::closed_syllable;
}

bool is_one_syllable(Jamo before, Jamo next) {
  switch (before) {
    case Jamo::lead: return next != Jamo::none && next != Jamo::tail;
    case Jamo::vowel:
    case Jamo::open_syllable: return next == Jamo::vowel || next == Jamo::tail;
    case Jamo::tail:
    case Jamo::closed_syllable: return next == Jamo::tail;
    case Jamo::none: return false;
  }
  return false;
}

// The characters so far of one grapheme, and whether the next one is of it.
class Grapheme {
 public:
  explicit Grapheme(char32_t first) { put(first, classes_of(first)); }

  bool takes(char32_t next) {
    const Classes classes = classes_of(next);
    if (!goes_on(next, classes)) return false;
    put(next, classes);
    return true;
  }

 private:
  bool goes_on(char32_t next, Classes classes) const {
    if (last_ == '\r' && next == '\n') return true;
    if (((classes_ | classes) & kControl) != 0) return false;
    if ((classes & kExtending) != 0 || (classes_ & kPrepended) != 0) return true;
    if (is_one_syllable(jamo_of(last_), jamo_of(next))) return true;
    if ((classes & kConjoined) != 0) return consonant_ && conjoins_;
    return (classes & kPictographic) != 0 && picture_ && last_ == kZeroWidthJoiner;
  }

  void put(char32_t code, Classes classes) {
    if ((classes & kExtending) == 0) {
      consonant_ = (classes & kConjoined) != 0;
      picture_ = (classes & kPictographic) != 0;
      conjoins_ = false;
    }
    conjoins_ = conjoins_ || (classes & kConjoining) != 0;
    last_ = code;
    classes_ = classes;
  }

  char32_t last_ = 0;
  Classes classes_ = 0;     // Of the last.
  bool consonant_ = false;  // The last but for marks…
  bool picture_ = false;
  bool conjoins_ = false;  // …and whether one of these is a virama.
};

}  // namespace

std::size_t first_grapheme(std::string_view text) {
  const auto first = local::utf8::decode(text);
  if (first.quality != local::utf8::Quality::whole) return 1;
  Grapheme grapheme(first.code);
  std::size_t length = first.length;
  while (length < text.size()) {
    const auto next = local::utf8::decode(text.substr(length));
    if (next.quality != local::utf8::Quality::whole || !grapheme.takes(next.code)) break;
    length += next.length;
  }
  return length;
}

}  // namespace spillway::tokenizer
