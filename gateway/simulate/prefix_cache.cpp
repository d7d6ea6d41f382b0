#include "gateway/simulate/prefix_cache.h"

#include <ranges>

namespace spillway::simulate {

int PrefixCache::leading(std::span<const std::uint64_t> ids) const {
  int count = 0;
  for (const std::uint64_t id : ids) {
    if (!blocks_.contains(id)) break;
    ++count;
  }
  return count;
}

void PrefixCache::put(std::span<const std::uint64_t> ids) {
  if (blocks_max_ <= 0) return;
  for (const std::uint64_t id : ids | std::views::reverse) {
    const auto known = blocks_.find(id);
    if (known != blocks_.end()) {
      used_.splice(used_.begin(), used_, known->second);
      continue;
    }
    used_.push_front(id);
    blocks_.emplace(id, used_.begin());
  }
  while (blocks_.size() > static_cast<std::size_t>(blocks_max_)) {
    blocks_.erase(used_.back());
    used_.pop_back();
  }
}

}  // namespace spillway::simulate
