#include "backends/local/prompt_cache.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

std::optional<Result<Prompts>> PromptCache::find(
    const std::shared_ptr<const ChatRequest>& request) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(request.get());
  if (found == entries_.end() || found->second.request.lock() != request) return std::nullopt;
  return found->second.prompts;
}

void PromptCache::keep(const std::shared_ptr<const ChatRequest>& request, Result<Prompts> prompts) {
  std::lock_guard lock(mutex_);
  if (entries_.size() >= sweep_at_) {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.request.expired(); });
    sweep_at_ = std::max<std::size_t>(64, 2 * entries_.size());
  }
  entries_.insert_or_assign(request.get(), Entry{request, std::move(prompts)});
}

}  // namespace spillway::local
