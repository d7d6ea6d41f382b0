// Lines of a batch that a provider answers in a batch of its own. Plain values.
#pragma once

#include "gateway/batch/batch.h"

#include <cstdint>
#include <string>

namespace spillway::batch {

struct Handover {
  // In the order of its life. What comes before `uploaded` costs nothing and is not kept.
  enum class State {
    uploaded,  // The provider has the file; perhaps a batch of it, too: it has to be looked for.
    running,   // It has the batch.
    ended,     // Its results are there, and are being taken.
  };

  std::string id;     // "handover_…": the label of the provider's batch.
  std::string batch;  // Ours, of which the lines are.
  std::string target;
  std::string model;        // The target's own name for it.
  std::string path;         // "/v1/chat/completions"
  std::string input_file;   // At the provider, as the next three.
  std::string remote;       // Its batch; empty until that is known.
  std::string output_file;  // Empty: none.
  std::string error_file;
  State state = State::uploaded;
  Seconds created = 0;
  int lines = 0;
  int completed = 0;      // As the provider told last.
  std::int64_t most = 0;  // What all lines may cost, in nano-USD.
};

}  // namespace spillway::batch
