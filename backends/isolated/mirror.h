// The gateway's picture of the engines in another process, one or several behind one waiting room:
// as exact as one of engines next door, since each change of theirs, of their prefix trees and of
// their room's queue is told, and made here in the same order.
//
// No locks: its owner's. What it is told is checked; where it says that this cannot be, no engine
// says so, and what is seen here is of no more use until `forget`.
#pragma once

#include "backends/isolated/frames.h"
#include "backends/local/engine/shared_queue.h"
#include "backends/local/kv/prefix_tree.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::isolated {

inline constexpr int kAnyContext = std::numeric_limits<int>::max() / 2;  // More than any has.

// One of each engine. Looked into without any lock of the mirror's.
using PrefixTrees = std::vector<std::unique_ptr<local::PrefixTree>>;

// What of the prompt each has.
std::vector<int> cached_in_each(const PrefixTrees& trees, std::string_view owner,
                                std::span<const std::int32_t> prompt);

class Mirror {
 public:
  // So many engines, of which none may claim more KV memory than `kv_tokens_max`. Requires: one.
  Mirror(int kv_tokens_max, int replicas)
      : kv_tokens_max_(kv_tokens_max), engines_(static_cast<std::size_t>(replicas)) {}

  std::size_t replicas() const { return engines_.size(); }

  // As EngineDoor's. Those who are on their way there are behind those who are there.
  bool ready() const;
  EngineStatus status() const;
  EngineCounters counters() const;
  // Before a first engine has said it: more than anybody asks for.
  int context_max() const { return context_max_; }
  bool has_work() const;

  // Null: none is loaded.
  std::shared_ptr<const PrefixTrees> prefixes() const { return prefixes_; }
  // What of that counts. Requires: one of each engine.
  int worth_of_cache(const std::vector<int>& cached, int prompt_tokens) const;

  // Is on its way there.
  void expect(local::WaitingPlace place) { unseen_.push_back(std::move(place)); }
  // Their process has ended; the next one's are most likely as they were.
  void forget();

  Result<void> on(Loaded& word);
  Result<void> on(Picture& word);
  Result<void> on(PrefixInserted& word);
  Result<void> on(PrefixErased& word);
  Result<void> on(ReplicaFailed& word);
  Result<void> on(Came& word);
  Result<void> on(Refused& word);
  Result<void> on(Left& word);
  Result<void> on(Taken& word);

 private:
  struct View {
    EngineStatus status;  // As it last told it.
    std::optional<TimePoint> step_began;
    EngineCounters counters;
  };

  bool is_shared() const { return engines_.size() > 1; }
  std::vector<EngineStatus> statuses() const;
  bool see(std::uint64_t sequences);
  bool is_block(Replica replica, std::int32_t block) const;

  const int kv_tokens_max_;
  bool loaded_ = false;
  int context_max_ = kAnyContext;
  std::vector<View> engines_;
  local::SharedQueue queue_;     // Of several.
  local::WaitingPlaces unseen_;  // Asked for, and not in the above yet.
  std::shared_ptr<PrefixTrees> prefixes_;
};

}  // namespace spillway::isolated
