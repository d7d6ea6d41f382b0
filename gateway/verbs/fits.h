// Whether the local model can fit the memory that there is, before anybody loads it.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"

#include <cstdint>
#include <optional>
#include <string>

namespace spillway::verbs {

// What a model takes, at the least: its weights and the KV cache, nothing for the steps' own needs.
struct MemoryNeed {
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;    // With those that are repeated.
  std::int64_t repeated_bytes = 0;  // Of GPUs that share the model, what more than one has.
  std::int64_t kv_token_bytes = 0;
  std::int64_t kv_tokens = 0;
  bool keeps_int4 = false;  // Of the file, on the target's GPUs.

  std::int64_t bytes() const { return weight_bytes + kv_token_bytes * kv_tokens; }
};

// From the model file's own tables. Fails as reading them does.
Result<MemoryNeed> memory_need(const config::LocalTarget& target);

// Of this machine, or of the group that this process is limited to, whichever is less.
std::int64_t machine_memory();

// Nothing: it fits. Else a sentence with what it takes, what there is, and what would fit.
std::optional<std::string> does_not_fit(const config::LocalTarget& target, const MemoryNeed& need,
                                        std::int64_t bytes);

}  // namespace spillway::verbs
