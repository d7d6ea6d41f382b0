// Remembers the tokens of a request between the decision where it goes and its start here, so that
// a prompt is encoded once.
//
// Any thread. Keeps a prompt no longer than its request lives; expired ones are swept as others
// come.
#pragma once

#include "backends/contract/chat.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace spillway::local {

class PromptCache {
 public:
  using Prompt = std::shared_ptr<const std::vector<std::int32_t>>;

  // Null if nothing was kept for this very request.
  Prompt find(const std::shared_ptr<const ChatRequest>& request) const;

  void keep(const std::shared_ptr<const ChatRequest>& request, Prompt prompt);

 private:
  struct Entry {
    std::weak_ptr<const ChatRequest> request;  // An address may be used again: this cannot.
    Prompt prompt;
  };

  mutable std::mutex mutex_;
  std::unordered_map<const ChatRequest*, Entry> entries_;
  std::size_t sweep_at_ = 64;
};

}  // namespace spillway::local
