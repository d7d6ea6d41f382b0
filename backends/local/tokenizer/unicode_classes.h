// Which classes a code point belongs to, as the `tokenizers` library sees it: its Unicode tables
// are newer than those of any C++ library at hand, and a letter more or less cuts words elsewhere.
//
// Pure; any thread. Never mix with iswalpha and friends.
#pragma once

#include <cstdint>

namespace spillway::tokenizer {

// A set of bits; code points that are unassigned have none.
using ClassSet = std::uint8_t;

inline constexpr ClassSet kUpper = 1;   // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}]: no small letter.
inline constexpr ClassSet kLower = 64;  // [\p{Ll}\p{Lm}\p{Lo}]: no capital.
inline constexpr ClassSet kLetter = kUpper | kLower;  // \p{L}
inline constexpr ClassSet kNumber = 2;                // \p{N}
inline constexpr ClassSet kSpace = 4;                 // \s
inline constexpr ClassSet kMark = 8;                  // \p{M}
inline constexpr ClassSet kPunctuation = 16;          // \p{P}
inline constexpr ClassSet kSymbol = 32;               // \p{S}
inline constexpr ClassSet kDigit = 128;  // What its Digits pre-tokenizer splits off: a newer \p{N}.

// Empty for anything above U+10FFFF.
ClassSet classes_of(char32_t code_point);

// What a single word may not have beside it: \w.
bool is_of_word(char32_t code_point);

}  // namespace spillway::tokenizer
