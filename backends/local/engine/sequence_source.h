// Where an engine that is one of several gets its sequences from: the waiting room that they share.
//
// Engine thread; the source must outlive the engine.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/engine/inbox.h"

#include <functional>
#include <vector>

namespace spillway::local {

class SequenceSource {
 public:
  virtual ~SequenceSource() = default;

  // Those who are next of the lane, if this engine is to begin with them now: who came together,
  // the engine's from then on. Empty: nobody is. `fits` says whether the first of them could begin.
  using Fits = std::function<bool(const NewSequence& sequence)>;
  virtual std::vector<NewSequence> next(Lane lane, const Fits& fits) = 0;

  // The engine has planned a step, or that there is none, and has taken what it takes.
  virtual void planned() = 0;

  // Nobody waits.
  virtual bool is_empty() const = 0;

  // The engine runs nothing more.
  virtual void ended(const Error& why) = 0;
};

}  // namespace spillway::local
