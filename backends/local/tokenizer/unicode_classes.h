// Which classes a code point belongs to, as the `tokenizers` library sees it: its Unicode tables
// are newer than those of any C++ library at hand, and a letter more or less cuts words elsewhere.
//
// Pure; any thread. Never mix with iswalpha and friends.
#pragma once

#include <cstdint>

namespace spillway::tokenizer {

// A set of bits; code points that are unassigned have none.
using ClassSet = std::uint8_t;

inline constexpr ClassSet kLetter = 1;        // \p{L}
inline constexpr ClassSet kNumber = 2;        // \p{N}
inline constexpr ClassSet kSpace = 4;         // \s
inline constexpr ClassSet kMark = 8;          // \p{M}
inline constexpr ClassSet kPunctuation = 16;  // \p{P}
inline constexpr ClassSet kSymbol = 32;       // \p{S}
inline constexpr ClassSet kUppercase = 64;    // \p{Lu}
inline constexpr ClassSet kDigit = 128;  // What its Digits pre-tokenizer splits off: a newer \p{N}.

// Empty for anything above U+10FFFF.
ClassSet classes_of(char32_t code_point);

}  // namespace spillway::tokenizer
