// Several engines that run the same model side by side, as one: one door, one waiting room.
//
// Any thread. An engine that fails takes with it the sequences that it has begun;
// the others go on, with those who wait. What loses its KV blocks to an older sequence waits for
// the same engine. Owns the engines; the first that begin do so together.
#pragma once

#include "backends/local/engine/engine.h"
#include "backends/local/engine/shared_room.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace spillway::local {

class Replicas final : public InProcessEngine {
 public:
  // Starts all and waits until they are calibrated. `limits` are of each, but for waiting_max.
  // `codec` and the observers must outlive it. Requires: executors of one shape.
  Replicas(const EngineLimits& limits, const StepModel& prior, const TextCodec& codec,
           std::vector<std::unique_ptr<Executor>> executors, SharedRoom::OnFailure on_failure,
           const Observers& observers = {});
  ~Replicas() override;

  Result<std::shared_ptr<Bridge>> submit(Ask ask, boost::asio::any_io_executor consumer) override;
  Result<void> submit(Ask ask, const MakeOutlet& make_outlet) override;
  int context_max() const override { return engines_.front()->context_max(); }
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const override {
    return room_->cached_tokens(owner, prompt);
  }
  EngineStatus status() const override { return room_->status(); }
  EngineCounters counters() const override { return room_->counters(); }
  void nudge() override { room_->nudge(); }
  void stop(Deadline drain_until) override;

 private:
  // An engine's way to the room.
  class Seat;

  const std::size_t bridge_capacity_;
  const std::shared_ptr<SharedRoom> room_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::unique_ptr<Intake> intake_;  // Last: it uses all of the above.
};

}  // namespace spillway::local
