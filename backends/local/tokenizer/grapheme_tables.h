// The raw tables behind grapheme.h: code points to skip and to take, alternately, from U+0000 on.
//
// Generated data with static storage (see grapheme_tables.py); only grapheme.cpp reads it.
#pragma once

#include <cstdint>
#include <span>

namespace spillway::tokenizer {

extern const std::span<const std::uint32_t> extending_ranges;   // Marks: go with what is before.
extern const std::span<const std::uint32_t> prepended_ranges;   // Go with what is behind.
extern const std::span<const std::uint32_t> control_ranges;     // Go with nothing.
extern const std::span<const std::uint32_t> conjoining_ranges;  // Viramas between consonants…
extern const std::span<const std::uint32_t> conjoined_ranges;   // …of this kind.
extern const std::span<const std::uint32_t> pictographic_ranges;

}  // namespace spillway::tokenizer
