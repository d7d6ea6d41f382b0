#include "backends/local/cuda/decode_graphs.h"

#include <algorithm>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

DecodeGraphs::DecodeGraphs(Decoder& decoder, StepState& state, CUstream_st* stream,
                           int sequences_max)
    : decoder_(decoder), state_(state), stream_(stream) {
  for (int size = 1; size < sequences_max;) {
    buckets_.push_back(size);
    size += size < 8 ? size : size < 128 ? 8 : 16;
  }
  buckets_.push_back(sequences_max);
}

DecodeGraphs::~DecodeGraphs() {
  for (const auto& [bucket, graph] : graphs_) cudaGraphExecDestroy(graph);
}

int DecodeGraphs::bucket_for(int sequences) const {
  return *std::lower_bound(buckets_.begin(), buckets_.end(), sequences);
}

Result<void> DecodeGraphs::enqueue_eagerly(int bucket) {
  StepRows rows;
  rows.decodes = bucket;
  rows.logits = bucket;
  rows.decodes_only = true;
  if (auto enqueued = decoder_.enqueue(rows); !enqueued) return enqueued;
  FirstError errors;
  errors.note(kernels::spillway_advance(state_.device(StepState::positions), bucket, stream_),
              "advance");
  return errors.result();
}

Result<void> DecodeGraphs::capture(int bucket) {
  if (auto tuned = decoder_.tune(bucket); !tuned) return tuned;
  if (auto warm = enqueue_eagerly(bucket); !warm)
    return warm;  // Loads what a capture may not load.
  FirstError errors;
  errors.note(cudaStreamSynchronize(stream_), "first pass");
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t runnable = nullptr;
  errors.note(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capture");
  if (!errors.none()) return errors.result();
  const auto enqueued = enqueue_eagerly(bucket);
  errors.note(cudaStreamEndCapture(stream_, &graph), "capture");
  if (!enqueued) return enqueued;
  if (errors.none()) errors.note(cudaGraphInstantiate(&runnable, graph, 0), "making a graph");
  if (errors.none()) graphs_[bucket] = runnable;
  if (graph != nullptr) cudaGraphDestroy(graph);
  return errors.result();
}

int DecodeGraphs::launch(int bucket) { return cudaGraphLaunch(graphs_.at(bucket), stream_); }

}  // namespace spillway::local::cuda
