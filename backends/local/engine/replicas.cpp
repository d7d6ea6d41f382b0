#include "backends/local/engine/replicas.h"

#include <future>
#include <utility>

namespace spillway::local {

class Replicas::Seat final : public SequenceSource {
 public:
  Seat(SharedRoom& room, std::size_t number) : room_(room), number_(number) {}

  std::vector<NewSequence> next(Lane lane, const Fits& fits) override {
    return room_.next(number_, lane, fits);
  }
  void planned() override { room_.planned(number_); }
  bool is_empty() const override { return room_.is_empty(); }
  void ended(const Error& why) override { room_.ended(number_, why); }

 private:
  SharedRoom& room_;
  const std::size_t number_;
};

Replicas::Replicas(const EngineLimits& limits, const StepModel& prior, const TextCodec& codec,
                   std::vector<std::unique_ptr<Executor>> executors,
                   SharedRoom::OnFailure on_failure, const Observers& observers)
    : bridge_capacity_(limits.bridge_capacity),
      room_(std::make_shared<SharedRoom>(std::move(on_failure), observers.room)) {
  // Each measures itself while the others do, as it will run.
  std::vector<std::future<std::unique_ptr<Engine>>> starting;
  for (std::unique_ptr<Executor>& executor : executors) {
    EngineObserver* const observer =
        observers.engines.empty() ? nullptr : observers.engines[seats_.size()];
    Seat* const seat = seats_.emplace_back(std::make_unique<Seat>(*room_, seats_.size())).get();
    starting.push_back(std::async(std::launch::async, [&, observer, seat] {
      return std::make_unique<Engine>(limits, prior, codec, std::move(executor), observer, seat);
    }));
  }
  std::vector<const Engine*> engines;
  for (auto& engine : starting) {
    engines_.push_back(engine.get());
    engines.push_back(engines_.back().get());
  }
  room_->open(std::move(engines));
  intake_ = std::make_unique<Intake>(*this, room_, codec, limits.prefix_cache, limits.form_server);
}

Replicas::~Replicas() { stop(SteadyClock::now()); }

Result<std::shared_ptr<Bridge>> Replicas::submit(Ask ask, boost::asio::any_io_executor consumer) {
  return intake_->submit(std::move(ask), std::move(consumer), bridge_capacity_);
}

Result<void> Replicas::submit(Ask ask, const MakeOutlet& make_outlet) {
  return intake_->submit(std::move(ask), make_outlet);
}

void Replicas::stop(Deadline drain_until) {
  room_->close(drain_until);
  for (const auto& engine : engines_) engine->stop(drain_until);
}

}  // namespace spillway::local
