#include "backends/isolated/speaker.h"

#include <chrono>
#include <thread>
#include <unistd.h>
#include <utility>

namespace spillway::isolated {
namespace {

constexpr std::chrono::milliseconds kNap{1};

}  // namespace

void Speaker::say(const Word& word) {
  std::lock_guard lock(mutex_);
  encode(word, frame_);
  while (!words_.write(frame_)) {
    words_.wake();
    std::this_thread::sleep_for(kNap);
  }
}

void Speaker::wake() {
  std::lock_guard lock(mutex_);
  words_.wake();
}

void Roll::close() {
  ended_ = true;
  const std::uint64_t one = 1;
  (void)!::write(bell_, &one, sizeof one);
}

void Reporter::changed(const EngineStatus& status, std::optional<TimePoint> step_began,
                       const EngineCounters& counters) {
  speaker_.say(Picture{replica_, status, step_began, counters});
  if (step_began) speaker_.wake();
}

void Reporter::inserted(std::string_view owner, std::uint64_t parent,
                        std::span<const std::int32_t> tokens, std::int32_t block) {
  speaker_.say(
      PrefixInserted{replica_, std::string(owner), parent, {tokens.begin(), tokens.end()}, block});
}

void Reporter::erased(std::int32_t block) { speaker_.say(PrefixErased{replica_, block}); }

void Reporter::ended(const Error& why) {
  if (replicas_ > 1) speaker_.say(ReplicaFailed{replica_, why.message});
  if (roll_.leave()) {
    speaker_.say(Farewell{why.message});
    speaker_.wake();
    roll_.close();
  } else {
    speaker_.wake();
  }
}

void RoomReporter::tell(const Word& word) {
  speaker_.say(word);
  speaker_.wake();
}

void RingOutlet::push(Delta delta) {
  if (!over_ && !abandoned_) speaker_.say(Piece{id_, std::move(delta)});
}

void RingOutlet::finish() {
  if (!over_.exchange(true)) speaker_.say(Done{id_});
}

void RingOutlet::fail(Error error) {
  if (!over_.exchange(true)) speaker_.say(Failure{id_, std::move(error)});
}

}  // namespace spillway::isolated
