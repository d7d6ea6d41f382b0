#include "backends/local/kv/block_pool.h"

#include <cassert>

namespace spillway::local {

BlockPool::BlockPool(int blocks, int block_tokens)
    : blocks_total_(blocks), block_tokens_(block_tokens) {
  free_.reserve(static_cast<std::size_t>(blocks));
  for (int block = blocks - 1; block >= 0; --block) free_.push_back(block);
}

bool BlockPool::grow(std::vector<std::int32_t>& table, int tokens) {
  const int missing = blocks_for(tokens) - static_cast<int>(table.size());
  if (missing > blocks_free()) return false;
  for (int i = 0; i < missing; ++i) {
    table.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void BlockPool::release(std::vector<std::int32_t>& table) {
  free_.insert(free_.end(), table.begin(), table.end());
  assert(blocks_free() <= blocks_total_);
  table.clear();
}

}  // namespace spillway::local
