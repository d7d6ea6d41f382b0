// The way into the engine thread: new sequences, and word that a consumer took something or left.
//
// Any thread may hand in; the engine thread alone takes out. It also holds the published
// EngineStatus, so that a sequence is in it from the moment it was handed in: the queue and the
// picture of it change under one lock. Shared by the engine and the Outlets that ring it, which may
// outlive it.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/deadline.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/outlet.h"
#include "backends/contract/status.h"
#include "backends/local/engine/engine_observer.h"
#include "backends/local/engine/form_follower.h"

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace spillway::local {

using SequenceId = std::uint64_t;

struct NewSequence {
  SequenceId id = 0;
  std::shared_ptr<const std::vector<std::int32_t>> prompt;
  Sampling sampling;
  int tokens_max = 0;  // At least 1.
  Lane lane = Lane::foreground;
  std::string owner;      // Whose it is: of the same owner, what was read before is not read again.
  int cached_tokens = 0;  // What of the prompt that is, as far as could be told when it came.
  std::shared_ptr<Outlet> outlet;
  std::shared_ptr<FormProgress> form;  // What it is held to; null: nothing.
  SequenceId leader = 0;               // Who reads the same prompt before it; 0: nobody.
};

// A consumer made room in its Outlet or abandoned it. `step` is the number of steps begun by then.
struct Ring {
  SequenceId id = 0;
  std::uint64_t step = 0;
};

struct Mail {
  std::vector<NewSequence> arrivals;
  std::vector<Ring> rings;
  std::optional<Deadline> drain_until;  // Given once the engine is to stop.
};

// Who takes in what comes: an engine's inbox, or the waiting room that several share. Any thread.
class Entrance {
 public:
  virtual ~Entrance() = default;

  // Those who belong together, of one lane and outlet; those of a prompt one after another, the one
  // that the others follow first: all or none. overloaded past the waiting limit,
  // backend_unavailable once nothing is taken in any more.
  virtual Result<void> submit(std::vector<NewSequence> sequences) = 0;
  virtual void refuse(int sequences) = 0;  // So many that were to be handed in are not.
  virtual void ring(SequenceId id) = 0;
};

// What is known of it before it has begun.
SequenceStatus status_of(const NewSequence& sequence);

Error full_for_now();
Error not_running();

class Inbox final : public Entrance {
 public:
  // `observer`, if there is one, is told of what is handed in, and of each step.
  explicit Inbox(EngineStatus initial, EngineObserver* observer = nullptr)
      : observer_(observer), status_(std::move(initial)) {}

  // backend_unavailable after close() or fail().
  Result<void> submit(std::vector<NewSequence> sequences) override;
  void refuse(int sequences) override;
  void ring(SequenceId id) override;
  void close(Deadline drain_until);  // No more submissions; the engine finishes what it has.
  EngineStatus status() const;
  EngineCounters counters() const;

  // Engine thread. What has come in; waits for something until `wait_until` if that is given.
  Mail take(std::optional<Deadline> wait_until);

  // Engine thread. Puts the sequences that the engine knows of in place of the last picture; what
  // has been handed in since `take` stays behind those of its lane.
  void publish(std::vector<SequenceStatus> running, std::vector<SequenceStatus> waiting,
               int kv_tokens_free);
  // The observer sees what has been published; it does, too, when a step begins or ends.
  void show() const;
  // Behind another step: `starts` is when that is expected to end.
  void begin_step(TimePoint starts);
  // `next_began`: when the step that is now under way began, if there is one.
  void end_step(const StepModel& model, std::optional<TimePoint> next_began = {});

  // Engine thread. Changes the counters under the lock.
  template <class Change>
  void count(Change change) {
    std::lock_guard lock(mutex_);
    change(counters_);
  }

  // The engine takes it from elsewhere: it is in the picture from now on.
  void take_over(const SequenceStatus& sequence);

  // Engine thread. Not ready any more: whatever comes in from now on is refused, and who rings is
  // not heard. What had come in and was not taken yet is returned.
  std::vector<NewSequence> fail();

 private:
  void tell() const;  // Requires: the mutex is held.

  EngineObserver* const observer_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<NewSequence> arrivals_;
  std::vector<Ring> rings_;
  std::optional<Deadline> drain_until_;
  bool failed_ = false;
  bool news_ = false;  // Something was handed in that `take` has not seen.
  EngineStatus status_;
  EngineCounters counters_;
  std::uint64_t steps_begun_ = 0;
  std::optional<TimePoint> step_began_;
};

}  // namespace spillway::local
