// The raw tables behind bert_text.h: code points to skip and to take, alternately, from U+0000 on.
//
// Generated data with static storage (see bert_tables.py); only bert_text.cpp reads it.
#pragma once

#include <cstdint>
#include <span>

namespace spillway::tokenizer {

extern const std::span<const std::uint32_t> dropped_ranges;           // By clean_text.
extern const std::span<const std::uint32_t> blank_ranges;             // Between words.
extern const std::span<const std::uint32_t> chinese_ranges;           // Words of their own.
extern const std::span<const std::uint32_t> nonspacing_ranges;        // By strip_accents.
extern const std::span<const std::uint32_t> bert_punctuation_ranges;  // Words of their own.
extern const std::span<const std::uint32_t> decomposed_ranges;        // Other in NFD, or movable.

// For each code point that has a lower case of one: how far it is from the one before, and that.
extern const std::span<const std::uint32_t> lowercase_steps;

}  // namespace spillway::tokenizer
