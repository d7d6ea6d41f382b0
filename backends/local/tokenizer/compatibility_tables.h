// What characters that only look otherwise are made of: ﬁ of f and i; compatibility_tables.cpp is
// generated.
#pragma once

#include <cstdint>
#include <span>

namespace spillway::tokenizer {

// For each run of neighbours: how far it is from the one before, how many there are, how many
// characters each is made of, and what the first is made of. Those of a run of several are made of
// one each, which are neighbours as well.
extern const std::span<const std::uint32_t> compatibility_steps;

}  // namespace spillway::tokenizer
