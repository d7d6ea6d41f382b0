// Which slot of the device's `last_token` holds the latest token of which sequence.
//
// Engine thread only. A sequence keeps its slot as long as every step has it; one that is left out
// of a step (ended, parked, evicted) loses it, and comes back with its token spelled out.
#pragma once

#include "backends/local/engine/executor.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace spillway::local::cuda {

class TokenSlots {
 public:
  explicit TokenSlots(int slots);

  // What `ids` must hold for this token of the sequence: ~slot if the device has it, else the
  // token. Requires: for kTokenUnderWay, a slot since the step that draws it.
  std::int32_t id_for(SequenceId sequence, std::int32_t token) const;

  // The slot into which the next token of the sequence goes; -1 if none is free.
  int slot_for(SequenceId sequence);

  // After the step, whatever has begun since: the sequence drew this token.
  void record(SequenceId sequence, std::int32_t token);

  // Frees the slots of sequences for which slot_for was not called since the last end_step.
  void end_step();

 private:
  struct Held {
    int slot = 0;
    std::int32_t token = -1;
    std::uint64_t step = 0;
  };

  std::unordered_map<SequenceId, Held> held_;
  std::vector<int> free_;
  std::uint64_t step_ = 1;
};

}  // namespace spillway::local::cuda
