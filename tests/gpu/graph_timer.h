// Times launches as they run inside a graph: captured together, replayed, the median replay divided
// by the launches.
#pragma once

#include "tests/gpu/device_array.h"

#include <algorithm>

namespace spillway::gpu_test {

class GraphTimer {
 public:
  GraphTimer() {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
    check(cudaEventCreate(&begin_), "event");
    check(cudaEventCreate(&end_), "event");
  }
  ~GraphTimer() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaStreamDestroy(stream_);
  }
  GraphTimer(const GraphTimer&) = delete;
  GraphTimer& operator=(const GraphTimer&) = delete;

  CUstream_st* stream() { return stream_; }

  // Microseconds a launch. `enqueue(i)` launches number i of `launches` on stream().
  template <class Enqueue>
  double microseconds(int launches, Enqueue enqueue, int replays = 15) {
    for (int i = 0; i < launches; ++i)
      enqueue(i);  // Outside the capture first: sets attributes, loads modules.
    check(cudaStreamSynchronize(stream_), "first launches");
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t runnable = nullptr;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = 0; i < launches; ++i) enqueue(i);
    check(cudaStreamEndCapture(stream_, &graph), "capture");
    check(cudaGraphInstantiate(&runnable, graph, 0), "instantiate");
    std::vector<float> times;
    for (int i = 0; i < replays + 2; ++i) {
      check(cudaEventRecord(begin_, stream_), "record");
      check(cudaGraphLaunch(runnable, stream_), "launch");
      check(cudaEventRecord(end_, stream_), "record");
      check(cudaEventSynchronize(end_), "replay");
      float milliseconds = 0.0f;
      check(cudaEventElapsedTime(&milliseconds, begin_, end_), "elapsed");
      if (i >= 2) times.push_back(milliseconds);
    }
    check(cudaGraphExecDestroy(runnable), "destroy");
    check(cudaGraphDestroy(graph), "destroy");
    std::nth_element(times.begin(), times.begin() + replays / 2, times.end());
    return times[replays / 2] * 1e3 / launches;
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

}  // namespace spillway::gpu_test
