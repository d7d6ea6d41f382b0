// Remembers the tokens of a request, or why it has none here, between the decision where it goes
// and its start here, so that prompts are encoded once.
//
// Any thread. Keeps them no longer than its request lives; expired ones are swept as others
// come.
#pragma once

#include "backends/contract/chat.h"
#include "backends/local/engine/engine_door.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace spillway::local {

class PromptCache {
 public:
  // Nothing if nothing was kept for this very request.
  std::optional<Result<Prompts>> find(const std::shared_ptr<const ChatRequest>& request) const;

  void keep(const std::shared_ptr<const ChatRequest>& request, Result<Prompts> prompts);

 private:
  struct Entry {
    std::weak_ptr<const ChatRequest> request;  // An address may be used again: this cannot.
    Result<Prompts> prompts;
  };

  mutable std::mutex mutex_;
  std::unordered_map<const ChatRequest*, Entry> entries_;
  std::size_t sweep_at_ = 64;
};

}  // namespace spillway::local
