#include "backends/local/tokenizer/bpe.h"

#include <algorithm>
#include <array>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kFew = 64;  // To look at all of them is quicker than a heap.

// For a heap whose top is the best candidate.
bool is_worse(const Bpe::Candidate& a, const Bpe::Candidate& b) {
  if (a.merge.rank != b.merge.rank) return a.merge.rank > b.merge.rank;
  return a.position > b.position;
}

}  // namespace

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& out) const {
  scratch.symbols.clear();
  scratch.heap.clear();
  spelling_.each(piece, [&](std::int32_t id) {
    const auto index = static_cast<std::int32_t>(scratch.symbols.size());
    scratch.symbols.push_back({id, index - 1, index + 1});
  });
  if (scratch.symbols.empty()) return;
  if (scratch.symbols.size() <= kFew) return merge_few(scratch.symbols, out);
  scratch.symbols.back().right = -1;

  for (std::size_t i = 0; i + 1 < scratch.symbols.size(); ++i) {
    consider(static_cast<std::int32_t>(i), scratch);
  }
  while (!scratch.heap.empty()) {
    const Candidate best = scratch.heap.front();
    std::pop_heap(scratch.heap.begin(), scratch.heap.end(), is_worse);
    scratch.heap.pop_back();
    apply(best, scratch);
  }
  for (std::int32_t i = 0; i >= 0; i = scratch.symbols[i].right)
    out.push_back(scratch.symbols[i].id);
}

void Bpe::merge_few(std::span<const Symbol> symbols, std::vector<std::int32_t>& out) const {
  std::array<std::int32_t, kFew> ids;
  std::array<Merge, kFew> merges;  // Of each with its right neighbour.
  std::size_t count = symbols.size();
  const auto look = [&](std::size_t at) {
    merges[at] = at + 1 < count ? merges_.find(ids[at], ids[at + 1]) : Merge();
  };
  for (std::size_t i = 0; i < count; ++i) ids[i] = symbols[i].id;
  for (std::size_t i = 0; i < count; ++i) look(i);
  while (true) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (!merges[best].exists()) break;
    ids[best] = merges[best].result;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) ids[i] = ids[i + 1];
    for (std::size_t i = best + 1; i < count; ++i) merges[i] = merges[i + 1];
    if (best > 0) look(best - 1);
    look(best);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
}

// Queues the merge of the symbol at `position` with its right neighbour, if there is one.
void Bpe::consider(std::int32_t position, Scratch& scratch) const {
  const Symbol& left = scratch.symbols[position];
  if (left.right < 0) return;
  const Symbol& right = scratch.symbols[left.right];
  const Merge merge = merges_.find(left.id, right.id);
  if (!merge.exists()) return;
  scratch.heap.push_back({merge, position, left.id, right.id});
  std::push_heap(scratch.heap.begin(), scratch.heap.end(), is_worse);
}

void Bpe::apply(const Candidate& candidate, Scratch& scratch) const {
  Symbol& left = scratch.symbols[candidate.position];
  if (left.id != candidate.left_id || left.right < 0)
    return;  // Merged with something else meanwhile.
  Symbol& right = scratch.symbols[left.right];
  if (right.id != candidate.right_id) return;

  left.id = candidate.merge.result;
  right.id = -1;
  left.right = right.right;
  if (left.right >= 0) scratch.symbols[left.right].left = candidate.position;
  if (left.left >= 0) consider(left.left, scratch);
  consider(candidate.position, scratch);
}

}  // namespace spillway::tokenizer
