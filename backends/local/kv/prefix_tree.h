// Which KV blocks hold which beginnings of texts, so that a prompt that begins as an earlier one
// did need not be read again.
//
// A tree whose nodes are whole blocks of tokens. What is found is compared token by token, and each
// owner (a tenant) has a root of his own: nobody is ever given another text's blocks, nor can tell
// by the time an answer takes what others have asked. Any thread may ask `cached_tokens`; all else
// is the engine thread's. Bounded by the number of blocks.
#pragma once

#include "backends/local/kv/prefix_observer.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::local {

class PrefixTree {
 public:
  using NodeId = std::uint64_t;  // Never used again; 0 is none.

  struct Node {
    NodeId id = 0;
    std::int32_t block = 0;
  };

  // `blocks` blocks of `block_tokens` tokens. The observer, if there is one, must outlive it.
  PrefixTree(int blocks, int block_tokens, PrefixObserver* observer = nullptr);

  // The blocks that hold the beginning of `tokens`, as far as `owner` has it, and not the last
  // token: that is always to be computed.
  std::vector<Node> path(std::string_view owner, std::span<const std::int32_t> tokens) const;

  // Puts `block` there, unless another is: then that one's node is returned. `parent` is 0 for a
  // first block. Requires: block_tokens tokens, and a block that has no node.
  Node insert(std::string_view owner, NodeId parent, std::span<const std::int32_t> tokens,
              std::int32_t block);

  // The block holds something else from now on. What hangs below its node is not found any more.
  void erase(std::int32_t block);

  bool holds(std::int32_t block) const {
    return places_[static_cast<std::size_t>(block)].has_value();
  }

  // How many tokens they hold.
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> tokens) const;

 private:
  struct Root {
    NodeId id = 0;
    int nodes = 0;  // Below it; without any it goes.
  };
  using Roots = std::map<std::string, Root, std::less<>>;

  struct Key {
    NodeId parent = 0;
    std::vector<std::int32_t> tokens;
  };
  struct KeyView {
    KeyView(const Key& key) : parent(key.parent), tokens(key.tokens) {}
    KeyView(NodeId above, std::span<const std::int32_t> text) : parent(above), tokens(text) {}
    NodeId parent;
    std::span<const std::int32_t> tokens;
  };
  struct Hash {
    using is_transparent = void;
    std::uint64_t seed = 0;  // Random: clients choose tokens.
    std::size_t operator()(const KeyView& key) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const KeyView& one, const KeyView& other) const;
  };
  struct Place {
    Node node;
    Roots::iterator root;
  };
  using Places = std::unordered_map<Key, Place, Hash, Equal>;

  std::optional<Node> find(NodeId parent, std::span<const std::int32_t> tokens) const;

  const std::size_t block_tokens_;
  PrefixObserver* const observer_;
  mutable std::mutex mutex_;
  NodeId last_id_ = 0;
  Roots roots_;
  Places nodes_;
  std::vector<std::optional<Places::iterator>> places_;  // By block.
};

}  // namespace spillway::local
