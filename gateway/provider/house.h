// What all requests of one simulated provider share: its script, its limits, its counts.
//
// Any worker.
#pragma once

#include "backends/simulated/performance.h"
#include "backends/simulated/rate_limiter.h"
#include "gateway/provider/asked.h"
#include "gateway/provider/batch_room.h"
#include "gateway/provider/provider.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace spillway::provider {

struct Counts {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> failures{0};
  std::atomic<std::uint64_t> rate_limited{0};
  std::atomic<std::uint64_t> unauthorized{0};
  std::atomic<std::uint64_t> disconnects{0};
  std::atomic<std::int64_t> open_streams{0};
  std::atomic<std::uint64_t> prompt_tokens{0};
  std::atomic<std::uint64_t> cached_tokens{0};
  std::atomic<std::uint64_t> completion_tokens{0};
};

class House {
 public:
  House(simulated::Profile profile, const ProviderOptions& options);

  const simulated::Profile& profile() const { return profile_; }
  const std::string& key() const { return key_; }
  Counts& counts() { return counts_; }
  BatchRoom& batches() { return batches_; }
  ProviderStats stats() const;

  std::shared_ptr<const simulated::Script> script() const;
  void set_script(simulated::Script script);

  // Answers go out at once and nothing can go wrong: no need to look closely.
  bool instant(const simulated::Script& script) const;

  // The answer to a batch that was made gets lost; counts down in the script.
  bool loses_batch();

  // What happens to the next request.
  simulated::Performance perform(const simulated::Script& script, const Asked& asked);

  // How much of a prompt that begins like that it has read before, and has not forgotten.
  int read(const std::vector<Beginning>& beginnings);

  // Seconds to wait if the account's limits are reached; nullopt if the request may pass.
  std::optional<double> over_limit(int tokens);

 private:
  const simulated::Profile profile_;
  const std::string key_;
  const bool prefix_cache_;
  const std::uint64_t seed_;
  const std::function<Draw(std::string_view prompt)> draw_of_;
  std::atomic<std::uint64_t> next_request_{0};
  Counts counts_;
  BatchRoom batches_;

  mutable std::mutex mutex_;  // What follows.
  std::shared_ptr<const simulated::Script> script_;
  simulated::RateLimiter limiter_;
  std::unordered_set<std::uint64_t> beginnings_;
};

}  // namespace spillway::provider
