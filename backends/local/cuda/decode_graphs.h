// Captured decode passes, one for each batch size of a short list: a step costs one launch.
//
// Engine thread only, on one stream. A batch is padded to the next size; padding rows have position
// -1 and touch nothing.
#pragma once

#include "backends/local/cuda/decoder.h"

#include <map>

struct CUgraphExec_st;

namespace spillway::local::cuda {

class DecodeGraphs {
 public:
  DecodeGraphs(Decoder& decoder, StepState& state, CUstream_st* stream, int sequences_max);
  ~DecodeGraphs();
  DecodeGraphs(const DecodeGraphs&) = delete;

  // The size that `sequences` rows are padded to. Requires: sequences ≤ sequences_max.
  int bucket_for(int sequences) const;
  const std::vector<int>& buckets() const { return buckets_; }

  // Tunes and captures a size. Waits for the device. Requires: every row of the state is padding.
  Result<void> capture(int bucket);
  bool captured(int bucket) const { return graphs_.contains(bucket); }

  // Replays: logits of all rows, then positions advance by one. Status of CUDA. Requires:
  // captured(bucket).
  int launch(int bucket);

  // The pass that is captured, enqueued kernel by kernel.
  Result<void> enqueue_eagerly(int bucket);

 private:
  Decoder& decoder_;
  StepState& state_;
  CUstream_st* const stream_;
  std::vector<int> buckets_;
  std::map<int, CUgraphExec_st*> graphs_;
};

}  // namespace spillway::local::cuda
