// How many rows of which kind a pass has.
#pragma once

namespace spillway::local::cuda {

// The rows of a step: first those of sequences that decode, one each, then the chunks of prompts.
struct StepRows {
  int decodes = 0;  // Padding included. Row r uses page table row r.
  int chunks = 0;
  int chunk_rows = 0;      // Of all chunks together.
  int chunk_rows_max = 0;  // Of the longest.
  int logits = 0;  // Rows that want logits: state's logit_row, or all decodes if `decodes_only`.
  bool decodes_only = false;

  int all() const { return decodes + chunk_rows; }
};

// How many parts the keys of a sequence are dealt to, so that few sequences fill the device too.
int decode_splits(int sequences, int kv_heads);

}  // namespace spillway::local::cuda
