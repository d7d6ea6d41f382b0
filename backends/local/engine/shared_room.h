// The waiting room that several engines share: one queue, by lane and arrival, whose bound, order
// and picture are of the whole.
//
// Nobody in it belongs to an engine. An engine asks for the next when it has budget left in the
// step that it plans, and gets the first that is to begin there (contract/dealing.h); nobody passes
// one that no engine has room for. Entrance's calls: any thread. Locks are taken in this order:
// the room's, an inbox's. Shared by the engines and the outlets that ring, which may outlive it.
#pragma once

#include "backends/contract/dealing.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"
#include "backends/local/engine/inbox.h"
#include "backends/local/engine/sequence_source.h"

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::local {

class Engine;

class SharedRoom final : public Entrance {
 public:
  // An engine ends although nobody has asked it to. On its thread.
  using OnFailure = std::function<void(std::size_t engine, const Error& why)>;
  SharedRoom(int waiting_max, OnFailure on_failure)
      : waiting_max_(waiting_max), on_failure_(std::move(on_failure)) {}

  // Once, before anybody is handed in. They must live until close() and their own end.
  void open(std::vector<const Engine*> engines);
  // Takes in nobody more.
  void close(Deadline drain_until);

  Result<void> submit(std::vector<NewSequence> sequences) override;
  void refuse(int sequences) override;
  void ring(SequenceId id) override;

  // See EngineDoor. What is cached is told less what it costs to begin where it is cached, and not
  // where the way is shortest.
  EngineStatus status() const;
  EngineCounters counters() const;
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const;

  // An engine's thread; see SequenceSource.
  std::vector<NewSequence> next(std::size_t engine, Lane lane, const SequenceSource::Fits& fits);
  void planned(std::size_t engine);
  void ended(std::size_t engine, const Error& why);
  bool is_empty() const;

 private:
  // Of those who have one prompt, and stay together.
  struct Place {
    std::vector<NewSequence> sequences;
    std::vector<int> cached;  // Of their prompt, in each engine, when they came.

    const NewSequence& first() const { return sequences.front(); }
  };
  using Queue = std::deque<Place>;

  std::vector<int> cached_in_each(std::string_view owner,
                                  std::span<const std::int32_t> prompt) const;
  std::vector<Place> places_of(std::vector<NewSequence> sequences) const;
  static void deal(Dealing& dealing, std::size_t engine, const Place& place);
  // Requires of these: the mutex is held.
  std::vector<EngineStatus> statuses() const;
  EngineStatus whole() const;
  std::vector<NewSequence> take(Queue::iterator place, std::size_t engine);
  void wake_all() const;

  const int waiting_max_;
  const OnFailure on_failure_;
  std::vector<const Engine*> engines_;
  std::vector<std::shared_ptr<Inbox>> inboxes_;
  mutable std::mutex mutex_;
  Queue queue_;
  std::size_t ended_ = 0;  // Engines.
  bool closed_ = false;
  EngineCounters counters_;  // Of those who did not come to an engine.
};

}  // namespace spillway::local
