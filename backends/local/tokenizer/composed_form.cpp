#include "backends/local/tokenizer/composed_form.h"

#include "backends/local/tokenizer/composition_tables.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace spillway::tokenizer {
namespace {

constexpr char32_t kCodePoints = 0x110000;
constexpr std::uint32_t kNotMadeAgain = 8;

// Hangul syllables are made by arithmetic.
constexpr char32_t kSyllables = 0xAC00;
constexpr char32_t kLeads = 0x1100;
constexpr char32_t kVowels = 0x1161;
constexpr char32_t kTails = 0x11A7;
constexpr char32_t kLeadCount = 19;
constexpr char32_t kVowelCount = 21;
constexpr char32_t kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

bool is_among(char32_t c, char32_t first, char32_t count) {
  return c >= first && c < first + count;
}

class Tables {
 public:
  Tables() : touched_(kCodePoints) {
    read_decompositions();
    read_classes();
    for (const auto& [pair, made] : composed_) touched_[pair & 0x1FFFFF] = true;
    for (char32_t c = kVowels; c < kTails + kTailCount; ++c) touched_[c] = true;
  }

  // Whether composing may change text that has this character.
  bool touches(char32_t c) const { return c < kCodePoints && touched_[c]; }

  std::uint8_t class_of(char32_t c) const {
    const auto found = classes_.find(c);
    return found == classes_.end() ? std::uint8_t{0} : found->second;
  }

  std::span<const std::uint32_t> parts_of(char32_t c) const {
    const auto found = parts_.find(c);
    return found == parts_.end() ? std::span<const std::uint32_t>() : found->second;
  }

  // 0 if the two make nothing.
  char32_t made_of(char32_t first, char32_t second) const {
    if (is_among(first, kLeads, kLeadCount) && is_among(second, kVowels, kVowelCount))
      return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
    const bool is_open =
        is_among(first, kSyllables, kSyllableCount) && (first - kSyllables) % kTailCount == 0;
    if (is_open && is_among(second, kTails + 1, kTailCount - 1)) return first + (second - kTails);
    const auto found = composed_.find(pair_of(first, second));
    return found == composed_.end() ? U'\0' : found->second;
  }

 private:
  static std::uint64_t pair_of(char32_t first, char32_t second) {
    return std::uint64_t{first} << 21 | second;
  }

  // Those of fewer parts first: a longer one is made of what its first parts make, and the last.
  void read_decompositions() {
    std::vector<char32_t> made_again;
    const auto steps = decomposition_steps;
    char32_t c = 0;
    for (std::size_t i = 0; i < steps.size();) {
      c += steps[i];
      const std::size_t count = steps[i + 1] % kNotMadeAgain;
      parts_[c] = steps.subspan(i + 2, count);
      touched_[c] = steps[i + 1] >= kNotMadeAgain;
      if (!touched_[c]) made_again.push_back(c);
      i += 2 + count;
    }
    std::ranges::stable_sort(made_again, {}, [&](char32_t one) { return parts_[one].size(); });
    for (const char32_t one : made_again) {
      const auto parts = parts_[one];
      char32_t first = parts.front();
      for (const char32_t next : parts.subspan(1, parts.size() - 2)) first = made_of(first, next);
      composed_[pair_of(first, parts.back())] = one;
    }
  }

  void read_classes() {
    char32_t c = 0;
    for (std::size_t i = 0; i < combining_steps.size(); i += 3) {
      c += combining_steps[i];
      for (std::uint32_t taken = 0; taken < combining_steps[i + 1]; ++taken, ++c) {
        classes_[c] = static_cast<std::uint8_t>(combining_steps[i + 2]);
        touched_[c] = true;
      }
    }
  }

  std::vector<bool> touched_;
  std::unordered_map<char32_t, std::span<const std::uint32_t>> parts_;
  std::unordered_map<char32_t, std::uint8_t> classes_;
  std::unordered_map<std::uint64_t, char32_t> composed_;
};

const Tables& tables() {
  static const Tables all;
  return all;
}

struct Mark {
  char32_t code;
  std::uint8_t combining;
};

// One starter and the marks after it, in order; a byte that is no character is a starter that is
// kept as it is.
class Composer {
 public:
  void put(char32_t code) {
    if (is_among(code, kSyllables, kSyllableCount)) return start(code);
    const auto parts = tables().parts_of(code);
    if (parts.empty()) return put_part(code);
    for (const char32_t part : parts) put_part(part);
  }

  void put_byte(char byte) {
    flush();
    out_ += byte;
  }

  std::string finish() {
    flush();
    return std::move(out_);
  }

 private:
  void put_part(char32_t code) {
    const std::uint8_t combining = tables().class_of(code);
    if (combining == 0) return start(code);
    marks_.push_back({code, combining});
  }

  void start(char32_t code) {
    compose();
    // Two starters make one only where nothing is left between them.
    const char32_t made = has_starter_ && marks_.empty() ? tables().made_of(starter_, code) : U'\0';
    if (made != 0) {
      starter_ = made;
      return;
    }
    flush();
    starter_ = code;
    has_starter_ = true;
  }

  // A mark joins the starter unless one of its own class, or of none, stands between.
  void compose() {
    std::ranges::stable_sort(marks_, {}, &Mark::combining);
    if (!has_starter_) return;
    std::vector<Mark> left;
    for (const Mark& mark : marks_) {
      const bool blocked = !left.empty() && left.back().combining >= mark.combining;
      const char32_t made = blocked ? U'\0' : tables().made_of(starter_, mark.code);
      if (made != 0) {
        starter_ = made;
      } else {
        left.push_back(mark);
      }
    }
    marks_ = std::move(left);
  }

  void flush() {
    compose();
    if (has_starter_) local::utf8::append(out_, starter_);
    for (const Mark& mark : marks_) local::utf8::append(out_, mark.code);
    marks_.clear();
    has_starter_ = false;
  }

  std::string out_;
  bool has_starter_ = false;
  char32_t starter_ = 0;
  std::vector<Mark> marks_;
};

}  // namespace

bool needs_composing(std::string_view text) {
  // All before U+0300, whose first byte is 0xCC, are what they are.
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0xCC; }))
    return false;
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    if (character.quality == local::utf8::Quality::whole && tables().touches(character.code))
      return true;
    text.remove_prefix(character.quality == local::utf8::Quality::whole ? character.length : 1);
  }
  return false;
}

std::string composed_form(std::string_view text) {
  Composer composer;
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    const bool whole = character.quality == local::utf8::Quality::whole;
    if (whole) {
      composer.put(character.code);
    } else {
      composer.put_byte(text.front());
    }
    text.remove_prefix(whole ? character.length : 1);
  }
  return composer.finish();
}

}  // namespace spillway::tokenizer
