#include "backends/local/cuda/stream_timer.h"

#include "backends/local/cuda/device.h"

#include <algorithm>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

Result<float> milliseconds_of(CUstream_st* stream, const std::function<void()>& enqueue) {
  FirstError errors;
  cudaEvent_t marks[3] = {};
  for (cudaEvent_t& mark : marks) errors.note(cudaEventCreate(&mark), "tuning");
  for (cudaEvent_t mark : marks) {
    errors.note(cudaEventRecord(mark, stream), "tuning");
    if (mark != marks[2]) enqueue();
  }
  errors.note(cudaEventSynchronize(marks[2]), "tuning");
  float first = 0.0f;
  float second = 0.0f;
  errors.note(cudaEventElapsedTime(&first, marks[0], marks[1]), "tuning");
  errors.note(cudaEventElapsedTime(&second, marks[1], marks[2]), "tuning");
  for (cudaEvent_t mark : marks) cudaEventDestroy(mark);
  if (!errors.none()) return errors.result().error();
  return std::min(first, second);
}

}  // namespace spillway::local::cuda
