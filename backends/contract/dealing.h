// Which of several engines behind one waiting room (EngineStatus::replicas) takes whom: the rule by
// which they are served, and by which predictions know it. Pure.
//
// A sequence goes where it costs least, reckoned in seconds until it would end there:
//   what is left of the step under way + per_prefill_token · (prompt tokens in hand there, and its
//   own that are not cached there) + its answer's tokens · what those who run there add to a step.
// So an engine that has read the beginning of a prompt is preferred as long as its load is not
// worse by more than reading that beginning takes. Only who has a place in its batch and KV room is
// asked; engines with none count by how long theirs take to come.
#pragma once

#include "backends/contract/status.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace spillway {

class Dealing {
 public:
  explicit Dealing(std::span<const EngineStatus> engines);

  // The engine that begins with `sequence` now; nothing: none can. `cached`: of each engine, the
  // tokens of its prompt that are in the prefix cache there; `sequence.prefill_left` and
  // `context_tokens` are together the whole prompt. Empty: none are anywhere.
  std::optional<std::size_t> taker(const SequenceStatus& sequence,
                                   std::span<const int> cached = {}) const;

  // The same, however long it must wait. Requires: an engine is ready.
  std::size_t next(const SequenceStatus& sequence, std::span<const int> cached = {}) const;

  // What `sequence` costs at `engine`, in seconds.
  double cost(std::size_t engine, const SequenceStatus& sequence, int cached) const;

  // It is there from now on.
  void give(std::size_t engine, const SequenceStatus& sequence, int cached = 0);

  bool can_take(std::size_t engine, const SequenceStatus& sequence) const;

 private:
  struct Load {
    bool ready = false;
    int places = 0;  // Below 0: so many have none.
    int places_total = 1;
    int kv_tokens_free = 0;
    int running = 0;
    double unread = 0.0;     // Prompt tokens.
    double context = 0.0;    // Of all, when their prompts are read.
    double step_left = 0.0;  // Seconds.
    StepModel step;
  };

  std::optional<std::size_t> cheapest(const SequenceStatus& sequence, std::span<const int> cached,
                                      bool now) const;

  std::vector<Load> loads_;
};

// The engine that would be asked next, as if it were alone: its own sequences, and those who wait
// that will be dealt to it. Requires: engine.replicas is not empty.
EngineStatus next_engine(const EngineStatus& engine);

}  // namespace spillway
