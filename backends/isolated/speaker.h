// How an engine's process tells the gateway what becomes of it: the way back along a line, and who
// says what on it.
#pragma once

#include "backends/contract/outlet.h"
#include "backends/isolated/frames.h"
#include "backends/isolated/line.h"
#include "backends/local/engine/engine_observer.h"
#include "backends/local/engine/room_observer.h"

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>

namespace spillway::isolated {

// Any thread speaks; who speaks waits while the gateway does not listen.
class Speaker {
 public:
  explicit Speaker(RingWriter words) : words_(words) {}

  // Heard at the next wake().
  void say(const Word& word);
  void wake();

 private:
  std::mutex mutex_;
  RingWriter words_;
  std::string frame_;
};

// The engines that still run.
class Roll {
 public:
  // `bell`: of this process, rung at the end of them all.
  Roll(std::size_t engines, int bell) : running_(engines), bell_(bell) {}

  bool leave() { return --running_ == 0; }  // Whether it was the last.
  void close();                             // That has said all.
  bool has_ended() const { return ended_; }

 private:
  std::atomic<std::size_t> running_;
  std::atomic<bool> ended_ = false;
  const int bell_;
};

// What becomes of an engine, for the gateway, which is woken once a step: a picture follows its
// pieces, and where the next step begins at once, that one's.
class Reporter final : public local::EngineObserver {
 public:
  // Number `replica` of `replicas`.
  Reporter(Speaker& speaker, Roll& roll, Replica replica, std::size_t replicas)
      : speaker_(speaker), roll_(roll), replica_(replica), replicas_(replicas) {}

  void changed(const EngineStatus& status, std::optional<TimePoint> step_began,
               const EngineCounters& counters) override;
  void caught_up() override { speaker_.wake(); }
  void inserted(std::string_view owner, std::uint64_t parent, std::span<const std::int32_t> tokens,
                std::int32_t block) override;
  void erased(std::int32_t block) override;
  void ended(const Error& why) override;

 private:
  Speaker& speaker_;
  Roll& roll_;
  const Replica replica_;
  const std::size_t replicas_;
};

// The same of the room that several share.
class RoomReporter final : public local::RoomObserver {
 public:
  explicit RoomReporter(Speaker& speaker) : speaker_(speaker) {}

  void came(const local::WaitingPlace& place) override { tell(Came{place}); }
  void refused(int sequences) override { tell(Refused{static_cast<std::uint32_t>(sequences)}); }
  void left(std::uint64_t place) override { tell(Left{place}); }
  void taken(std::uint64_t place, std::size_t engine) override {
    speaker_.say(Taken{place, static_cast<Replica>(engine)});
  }

 private:
  void tell(const Word& word);

  Speaker& speaker_;
};

class RingOutlet final : public Outlet {
 public:
  RingOutlet(StreamId id, Speaker& speaker) : id_(id), speaker_(speaker) {}

  void push(Delta delta) override;
  void finish() override;
  void fail(Error error) override;
  bool full() override { return paused_; }
  bool abandoned() const override { return abandoned_; }

  void pause(bool paused) { paused_ = paused; }
  void abandon() { abandoned_ = true; }
  bool over() const { return over_; }

 private:
  const StreamId id_;
  Speaker& speaker_;
  std::atomic<bool> over_ = false;
  std::atomic<bool> paused_ = false;
  std::atomic<bool> abandoned_ = false;
};

}  // namespace spillway::isolated
