// Which blocks of prompts the reference engine still has: an LRU set of block ids.
//
// An id stands for a block and all before it, as in Mooncake's traces. One thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>

namespace spillway::simulate {

class PrefixCache {
 public:
  explicit PrefixCache(int blocks_max) : blocks_max_(blocks_max) {}

  // How many blocks at the start of `ids` are held. Leaves their order of use as it is.
  int leading(std::span<const std::uint64_t> ids) const;

  // Holds them all, as the most recently used; a prompt's first block outlives its last.
  void put(std::span<const std::uint64_t> ids);

 private:
  const int blocks_max_;
  std::list<std::uint64_t> used_;  // The most recent first.
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> blocks_;
};

}  // namespace spillway::simulate
