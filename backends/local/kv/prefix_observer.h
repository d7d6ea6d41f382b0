// Told of what a PrefixTree takes in and lets go: another tree to which the same is done in the
// same order is the same tree.
//
// On the engine thread, under the tree's lock.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace spillway::local {

class PrefixObserver {
 public:
  virtual ~PrefixObserver() = default;

  virtual void inserted(std::string_view owner, std::uint64_t parent,
                        std::span<const std::int32_t> tokens, std::int32_t block) = 0;
  virtual void erased(std::int32_t block) = 0;
};

}  // namespace spillway::local
