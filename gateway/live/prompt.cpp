#include "gateway/live/prompt.h"

#include <algorithm>

namespace spillway::live {

namespace {

constexpr std::size_t kBytesPerToken = 4;
constexpr int kAroundTokens = 5;  // What the synthetic engine's template adds to one message.

// `count` tokens that follow from `seed`: a letter that differs and three bytes that do not.
void append(std::uint64_t seed, std::size_t count, std::string& text) {
  std::uint64_t state = seed;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;  // Knuth's MMIX.
    text += static_cast<char>('a' + (state >> 33) % 26);
    text += "an ";
  }
}

}  // namespace

std::string prompt_of(const PromptShape& shape) {
  const auto wanted = static_cast<std::size_t>(std::max(1, shape.tokens - kAroundTokens));
  std::string text;
  text.reserve(wanted * kBytesPerToken);
  for (const std::uint64_t block : shape.blocks) {
    const std::size_t left = wanted - text.size() / kBytesPerToken;
    append(block, std::min<std::size_t>(left, kBlockTokens), text);
  }
  append(~shape.id, wanted - text.size() / kBytesPerToken, text);
  return text;
}

}  // namespace spillway::live
