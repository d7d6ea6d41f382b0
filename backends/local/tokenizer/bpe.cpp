#include "backends/local/tokenizer/bpe.h"

#include <algorithm>

namespace spillway::tokenizer {
namespace {

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
