// SentencePiece's BPE: a vocabulary without a list of merges, whose pieces have scores instead.
//
// Pure; any thread.
#pragma once

#include "backends/local/tokenizer/tokenizer.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

// What may be merged of `tokens`: any two that together are a third, the best score of what comes
// out first; merges into equal scores have the same rank, and then the leftmost goes first
// (sentencepiece/src/bpe_model.cc). `merges` says by id which tokens take part; the others are cut
// out whole, or are bytes. Requires: as many scores and flags as tokens, no score that is not a
// number.
struct ScoredMerges {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  std::vector<std::uint32_t> ranks;
};
ScoredMerges merges_by_score(std::span<const std::string_view> tokens,
                             std::span<const double> scores, const std::vector<bool>& merges);

}  // namespace spillway::tokenizer
