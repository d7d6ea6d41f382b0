#include "backends/local/tokenizer/scored_pieces.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

namespace spillway::tokenizer {
namespace {

struct Found {
  double score;
  std::string_view left;
  std::string_view right;
};

}  // namespace

ScoredMerges merges_by_score(std::span<const std::string_view> tokens,
                             std::span<const double> scores, const std::vector<bool>& merges) {
  std::unordered_set<std::string_view> pieces;
  pieces.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (merges[id]) pieces.insert(tokens[id]);
  }
  std::vector<Found> found;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (!merges[id]) continue;
    const std::string_view whole = tokens[id];
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
      const std::string_view left = whole.substr(0, cut), right = whole.substr(cut);
      if (pieces.contains(left) && pieces.contains(right))
        found.push_back({scores[id], left, right});
    }
  }
  std::ranges::stable_sort(found, std::greater(), &Found::score);
  ScoredMerges made;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0 && found[i].score != found[i - 1].score) ++rank;
    made.pairs.emplace_back(found[i].left, found[i].right);
    made.ranks.push_back(rank);
  }
  return made;
}

}  // namespace spillway::tokenizer
