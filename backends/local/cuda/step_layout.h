// Slices of a step as rows of the device's state: who decodes, who is in a prompt, who wants
// logits.
//
// Engine thread only. Decoding sequences come first, in the order of their slices, so that a batch
// that stays the same leaves nearly all of the state as it is.
#pragma once

#include "backends/local/cuda/decoder.h"
#include "backends/local/cuda/token_slots.h"
#include "backends/local/engine/executor.h"

#include <span>
#include <vector>

namespace spillway::local::cuda {

// How the rows with logits are sampled.
enum class Drawing { on_host, greedy, drawn };

// A row of logits.
struct LogitRow {
  SequenceId sequence = 0;
  bool draws = true;   // The sequence's next token; else the row is there to score one.
  int likeliest = -1;  // How many are to be scored beside its token; -1: neither.
};

struct StepLayout {
  StepRows rows;
  Drawing drawing = Drawing::on_host;
  bool scores = false;               // Some rows; on the device, unless it is the host that draws.
  std::vector<LogitRow> logit_rows;  // In the order of the slices.
};

// Writes the slices into `state` (not flushed). Decodes-only steps are padded to
// `bucket_for(decodes)` rows, others not at all. Requires: the slices fit the state's limits.
class StepWriter {
 public:
  StepWriter(StepState& state, TokenSlots& slots) : state_(state), slots_(slots) {}

  // `bucket` is a function of the number of decodes; used if the step is decodes with logits alone.
  template <class BucketFor>
  StepLayout write(std::span<const Slice> slices, BucketFor bucket_for) {
    StepLayout layout;
    count(slices, layout);
    if (layout.rows.decodes_only) pad(layout.rows, bucket_for(layout.rows.decodes));
    write_rows(slices, layout);
    return layout;
  }

 private:
  static void count(std::span<const Slice> slices, StepLayout& layout);
  void pad(StepRows& rows, int bucket);
  void write_rows(std::span<const Slice> slices, StepLayout& layout);
  void write_tokens(const Slice& slice, int first_row, int table_row);
  void write_logits(const Slice& slice, int first_row, StepLayout& layout);
  // A step of decodes alone takes the counters of its draws from the positions.
  void write_sampling(const Slice& slice, int logit_row, bool draws, bool decodes_only);

  StepState& state_;
  TokenSlots& slots_;
};

}  // namespace spillway::local::cuda
