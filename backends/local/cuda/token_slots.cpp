#include "backends/local/cuda/token_slots.h"

#include <cassert>

namespace spillway::local::cuda {

TokenSlots::TokenSlots(int slots) {
  for (int slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
}

std::int32_t TokenSlots::id_for(SequenceId sequence, std::int32_t token) const {
  const auto it = held_.find(sequence);
  assert(it != held_.end() || token != kTokenUnderWay);
  if (it == held_.end()) return token;
  return token == kTokenUnderWay || it->second.token == token ? ~it->second.slot : token;
}

int TokenSlots::slot_for(SequenceId sequence) {
  auto it = held_.find(sequence);
  if (it == held_.end()) {
    if (free_.empty()) return -1;
    it = held_.emplace(sequence, Held{free_.back()}).first;
    free_.pop_back();
  }
  it->second.step = step_;
  return it->second.slot;
}

void TokenSlots::record(SequenceId sequence, std::int32_t token) {
  const auto it = held_.find(sequence);
  if (it != held_.end()) it->second.token = token;
}

void TokenSlots::end_step() {
  for (auto it = held_.begin(); it != held_.end();) {
    if (it->second.step == step_) {
      ++it;
      continue;
    }
    free_.push_back(it->second.slot);
    it = held_.erase(it);
  }
  ++step_;
}

}  // namespace spillway::local::cuda
