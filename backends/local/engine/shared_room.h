// The waiting room that several engines share: one queue, by lane and arrival, whose bound, order
// and picture are of the whole.
//
// Nobody in it belongs to an engine. An engine asks for the next when it has budget left in the
// step that it plans, and gets the first that is to begin there (contract/dealing.h); nobody passes
// one that no engine has room for. Entrance's calls: any thread. Locks are taken in this order:
// the room's, an inbox's. Shared by the engines and the outlets that ring, which may outlive it.
#pragma once

#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"
#include "backends/local/engine/inbox.h"
#include "backends/local/engine/room_observer.h"
#include "backends/local/engine/sequence_source.h"
#include "backends/local/engine/shared_queue.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::local {

class Engine;

class SharedRoom final : public Entrance {
 public:
  // An engine ends although nobody has asked it to. On its thread.
  using OnFailure = std::function<void(std::size_t engine, const Error& why)>;
  SharedRoom(OnFailure on_failure, RoomObserver* observer)
      : on_failure_(std::move(on_failure)), observer_(observer) {}

  // Once, before anybody is handed in. They must live until close() and their own end.
  void open(std::vector<const Engine*> engines);
  void nudge();
  // Takes in nobody more.
  void close(Deadline drain_until);

  Result<void> submit(std::vector<NewSequence> sequences) override;
  void refuse(int sequences) override;
  void ring(SequenceId id) override;

  // See EngineDoor.
  EngineStatus status() const;
  EngineCounters counters() const;
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const;

  // An engine's thread; see SequenceSource.
  std::vector<NewSequence> next(std::size_t engine, Lane lane, const SequenceSource::Fits& fits);
  void planned(std::size_t engine);
  void ended(std::size_t engine, const Error& why);
  bool is_empty() const;

 private:
  // Those of a place.
  using Together = std::vector<NewSequence>;

  std::vector<int> cached_in_each(std::string_view owner,
                                  std::span<const std::int32_t> prompt) const;
  WaitingPlace place_of(const Together& sequences) const;
  // Requires of these: the mutex is held.
  std::vector<EngineStatus> statuses() const;
  EngineStatus whole() const;
  Together take(SequenceId place, std::size_t engine);
  void wake_all() const;

  const OnFailure on_failure_;
  RoomObserver* const observer_;  // Null: none.
  std::vector<const Engine*> engines_;
  std::vector<std::shared_ptr<Inbox>> inboxes_;
  mutable std::mutex mutex_;
  SharedQueue queue_;
  std::unordered_map<SequenceId, Together> waiting_;  // By the ids of their places.
  std::size_t ended_ = 0;                             // Engines.
  bool closed_ = false;
};

}  // namespace spillway::local
