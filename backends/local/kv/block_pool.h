// Which KV blocks are free, which belong to sequences, and which are kept because a text may begin
// again as they do: numbers only, the memory is the executor's.
//
// Used by the engine thread alone, but for `prefixes().cached_tokens`. Sequences whose texts begin
// alike share the blocks of that beginning, which nobody writes any more. A block that belongs to
// nobody stays findable until its memory is wanted: empty blocks are given out first (the last
// returned before others, since its memory is the warmest), then the least recently used.
#pragma once

#include "backends/local/kv/prefix_tree.h"

#include <cstdint>
#include <list>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::local {

// How much of a sequence's text is known to the prefixes.
struct PrefixPosition {
  PrefixTree::NodeId node = 0;  // Of its last whole block that is; 0: none is.
  int blocks = 0;               // That are, from the first on.
};

class BlockPool {
 public:
  // `block_tokens` tokens of context to a block. `observer` is told of the prefixes.
  BlockPool(int blocks, int block_tokens, PrefixObserver* observer = nullptr);

  int blocks_total() const { return blocks_total_; }
  int blocks_free() const { return static_cast<int>(empty_.size() + unowned_.size()); }
  int block_tokens() const { return block_tokens_; }

  // Blocks that `tokens` tokens of context take.
  int blocks_for(int tokens) const { return (tokens + block_tokens_ - 1) / block_tokens_; }

  // Lengthens `table` so that it holds `tokens` tokens. All or nothing: false leaves it as it was.
  bool grow(std::vector<std::int32_t>& table, int tokens);

  // Gives all blocks of `table` back and empties it.
  void release(std::vector<std::int32_t>& table);

  // Fills the empty `table` with the blocks that hold the beginning of `tokens`, as far as `owner`
  // has it, and not the last token.
  PrefixPosition reuse(std::string_view owner, std::span<const std::int32_t> tokens,
                       std::vector<std::int32_t>& table);

  // Of the blocks that `reuse` would find, those that somebody has: they take nothing that is free.
  int shared(std::string_view owner, std::span<const std::int32_t> tokens) const;

  // `table` holds `tokens` from the first position on: the whole blocks of it behind `position` can
  // be found from now on. Nobody may write them any more.
  void remember(std::string_view owner, std::span<const std::int32_t> tokens,
                const std::vector<std::int32_t>& table, PrefixPosition& position);

  const PrefixTree& prefixes() const { return prefixes_; }

 private:
  struct Block {
    int owners = 0;                           // Sequences that have it in their table.
    std::list<std::int32_t>::iterator place;  // In unowned_, while findable and nobody's.
  };

  std::int32_t take();
  void share(std::int32_t block);
  Block& block_at(std::int32_t block) { return blocks_[static_cast<std::size_t>(block)]; }

  const int blocks_total_;
  const int block_tokens_;
  PrefixTree prefixes_;
  std::vector<Block> blocks_;
  std::vector<std::int32_t> empty_;  // Nobody's, and nothing in them is wanted.
  std::list<std::int32_t> unowned_;  // Nobody's, but findable; the least recently used first.
};

}  // namespace spillway::local
