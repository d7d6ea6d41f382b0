// How characters are made of others, by the tables of the `tokenizers` library: what
// composed_form.h and decomposed_form.h work by.
//
// Immutable once made, at its first use; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace spillway::tokenizer {

// Hangul syllables are made by arithmetic.
namespace hangul {

inline constexpr char32_t kSyllables = 0xAC00;
inline constexpr char32_t kLeads = 0x1100;
inline constexpr char32_t kVowels = 0x1161;
inline constexpr char32_t kTails = 0x11A7;
inline constexpr char32_t kLeadCount = 19;
inline constexpr char32_t kVowelCount = 21;
inline constexpr char32_t kTailCount = 28;
inline constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

inline bool is_syllable(char32_t c) { return c >= kSyllables && c < kSyllables + kSyllableCount; }

}  // namespace hangul

class CanonicalTables {
 public:
  static const CanonicalTables& get();

  // Whether composing may change text that has this character.
  bool touches(char32_t c) const { return c < touched_.size() && touched_[c]; }

  // Whether it only looks otherwise than what it is made of: ﬁ is f and i.
  bool is_compatible(char32_t c) const { return compatible_parts_.contains(c); }

  // 0: of no mark that moves.
  std::uint8_t class_of(char32_t c) const;

  // What it is made of, in the end; nothing if it is of itself, or a syllable of Hangul.
  std::span<const std::uint32_t> parts_of(char32_t c) const;

  // The same, and what those are made of that only look otherwise.
  std::span<const std::uint32_t> compatible_parts_of(char32_t c) const;

  // 0 if the two make nothing.
  char32_t made_of(char32_t first, char32_t second) const;

 private:
  CanonicalTables();
  void read_decompositions();
  void read_compatibility();
  void read_classes();

  std::vector<bool> touched_;
  std::unordered_map<char32_t, std::span<const std::uint32_t>> parts_;
  std::unordered_map<char32_t, std::vector<std::uint32_t>> compatible_parts_;
  std::unordered_map<char32_t, std::uint8_t> classes_;
  std::unordered_map<std::uint64_t, char32_t> composed_;
};

}  // namespace spillway::tokenizer
