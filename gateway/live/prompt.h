// Words for the token counts of a trace, which holds none.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace spillway::live {

struct PromptShape {
  std::uint64_t id = 0;  // No two have words in common…
  int tokens = 1;
  std::span<const std::uint64_t> blocks;  // …but for blocks of kBlockTokens that are alike.
};

inline constexpr int kBlockTokens = 512;

// A message of as many tokens as the synthetic engine counts (four bytes each, and a few around a
// message); at least 1.
std::string prompt_of(const PromptShape& shape);

}  // namespace spillway::live
