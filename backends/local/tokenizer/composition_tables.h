// What composes of what, which marks go before which, and which are accents; composition_tables.cpp
// is generated.
#pragma once

#include <cstdint>
#include <span>

namespace spillway::tokenizer {

// For each character that is made of others, but for Hangul: how far it is from the one before, how
// many it is made of (8 more: it is not made again of them), and these.
extern const std::span<const std::uint32_t> decomposition_steps;

// For each run of marks of one combining class: how many characters to skip, how many to take, and
// the class.
extern const std::span<const std::uint32_t> combining_steps;

// Code points to skip and to take, alternately, from U+0000 on.
extern const std::span<const std::uint32_t> accent_ranges;

}  // namespace spillway::tokenizer
