#include "backends/isolated/pulses.h"

#include <utility>

namespace spillway::isolated {

void Pulses::begin(const std::vector<EngineStatus>& replicas, TimePoint now) {
  replicas_ = replicas.size();
  last_.clear();
  for (std::size_t replica = 0; replica < replicas_; ++replica) {
    if (replicas[replica].ready) last_[replica] = {now};
  }
}

void Pulses::heard(std::size_t replica, TimePoint now) {
  const auto found = last_.find(replica);
  if (found != last_.end()) found->second = {now};
}

void Pulses::excuse(TimePoint now) {
  for (auto& [replica, pulse] : last_) pulse = {now};
}

std::optional<std::size_t> Pulses::silent(TimePoint now) const {
  for (const auto& [replica, pulse] : last_) {
    if (now - pulse.heard >= patience_) return replica;
  }
  return std::nullopt;
}

bool Pulses::wants_nudge(TimePoint now) {
  bool wants = false;
  for (auto& [replica, pulse] : last_) {
    if (now - pulse.heard < patience_ / 2) continue;
    if (!std::exchange(pulse.nudged, true)) wants = true;
  }
  return wants;
}

}  // namespace spillway::isolated
