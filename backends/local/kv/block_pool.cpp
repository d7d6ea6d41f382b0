#include "backends/local/kv/block_pool.h"

#include <algorithm>
#include <cassert>

namespace spillway::local {

BlockPool::BlockPool(int blocks, int block_tokens, PrefixObserver* observer)
    : blocks_total_(blocks),
      block_tokens_(block_tokens),
      prefixes_(blocks, block_tokens, observer),
      blocks_(static_cast<std::size_t>(blocks)) {
  empty_.reserve(static_cast<std::size_t>(blocks));
  for (int block = blocks - 1; block >= 0; --block) empty_.push_back(block);
}

bool BlockPool::grow(std::vector<std::int32_t>& table, int tokens) {
  const int missing = blocks_for(tokens) - static_cast<int>(table.size());
  if (missing > blocks_free()) return false;
  for (int i = 0; i < missing; ++i) table.push_back(take());
  return true;
}

std::int32_t BlockPool::take() {
  std::int32_t block = 0;
  if (!empty_.empty()) {
    block = empty_.back();
    empty_.pop_back();
  } else {
    block = unowned_.front();
    unowned_.pop_front();
    prefixes_.erase(block);
  }
  block_at(block).owners = 1;
  return block;
}

// From the end on, so that a beginning outlives what follows it.
void BlockPool::release(std::vector<std::int32_t>& table) {
  for (; !table.empty(); table.pop_back()) {
    Block& block = block_at(table.back());
    assert(block.owners > 0);
    if (--block.owners > 0) continue;
    if (prefixes_.holds(table.back())) {
      block.place = unowned_.insert(unowned_.end(), table.back());
    } else {
      empty_.push_back(table.back());
    }
  }
}

PrefixPosition BlockPool::reuse(std::string_view owner, std::span<const std::int32_t> tokens,
                                std::vector<std::int32_t>& table) {
  assert(table.empty());
  PrefixPosition position;
  for (const PrefixTree::Node& node : prefixes_.path(owner, tokens)) {
    share(node.block);
    table.push_back(node.block);
    position = {node.id, position.blocks + 1};
  }
  return position;
}

int BlockPool::shared(std::string_view owner, std::span<const std::int32_t> tokens) const {
  const auto path = prefixes_.path(owner, tokens);
  return static_cast<int>(
      std::count_if(path.begin(), path.end(), [&](const PrefixTree::Node& node) {
        return blocks_[static_cast<std::size_t>(node.block)].owners > 0;
      }));
}

void BlockPool::share(std::int32_t block) {
  Block& shared = block_at(block);
  if (shared.owners++ == 0) unowned_.erase(shared.place);
}

void BlockPool::remember(std::string_view owner, std::span<const std::int32_t> tokens,
                         const std::vector<std::int32_t>& table, PrefixPosition& position) {
  const auto whole = static_cast<std::size_t>(block_tokens_);
  const auto blocks = tokens.size() / whole;
  for (auto at = static_cast<std::size_t>(position.blocks); at < blocks; ++at) {
    const auto text = tokens.subspan(at * whole, whole);
    const auto node = prefixes_.insert(owner, position.node, text, table[at]);
    position = {node.id, position.blocks + 1};
  }
}

}  // namespace spillway::local
