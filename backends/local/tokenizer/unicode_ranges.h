// The raw tables behind unicode_classes.h: code points to skip and to take, alternately, from
// U+0000 on.
//
// Generated data with static storage (see unicode_classes.py); only unicode_classes.cpp reads it.
#pragma once

#include <cstdint>
#include <span>

namespace spillway::tokenizer {

extern const std::span<const std::uint32_t> capital_ranges;
extern const std::span<const std::uint32_t> small_ranges;
extern const std::span<const std::uint32_t> caseless_ranges;
extern const std::span<const std::uint32_t> number_ranges;
extern const std::span<const std::uint32_t> space_ranges;
extern const std::span<const std::uint32_t> mark_ranges;
extern const std::span<const std::uint32_t> punctuation_ranges;
extern const std::span<const std::uint32_t> symbol_ranges;
extern const std::span<const std::uint32_t> digit_ranges;
extern const std::span<const std::uint32_t> word_ranges;

}  // namespace spillway::tokenizer
