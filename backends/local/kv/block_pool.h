// Which KV blocks are free, and which belong to a sequence: numbers only, the memory is the
// executor's.
//
// Used by the engine thread alone. Blocks come back in any order; the last returned is given out
// first, since its memory is the warmest.
#pragma once

#include <cstdint>
#include <vector>

namespace spillway::local {

class BlockPool {
 public:
  // `block_tokens` tokens of context to a block.
  BlockPool(int blocks, int block_tokens);

  int blocks_total() const { return blocks_total_; }
  int blocks_free() const { return static_cast<int>(free_.size()); }
  int block_tokens() const { return block_tokens_; }

  // Blocks that `tokens` tokens of context take.
  int blocks_for(int tokens) const { return (tokens + block_tokens_ - 1) / block_tokens_; }

  // Lengthens `table` so that it holds `tokens` tokens. All or nothing: false leaves it as it was.
  bool grow(std::vector<std::int32_t>& table, int tokens);

  // Takes all blocks of `table` back and empties it.
  void release(std::vector<std::int32_t>& table);

 private:
  const int blocks_total_;
  const int block_tokens_;
  std::vector<std::int32_t> free_;
};

}  // namespace spillway::local
