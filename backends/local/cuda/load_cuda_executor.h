// From a model file to the executors that compute it on GPUs.
//
// Start-up only; each executor may then be used on another thread. Without CUDA in this header, so
// that who uses it needs none.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/cuda/cuda_executor.h"
#include "backends/local/loader/model_file.h"

#include <memory>
#include <vector>

namespace spillway::local::cuda {

// Which share a model: replica r is on the GPUs from r · gpus_each on.
struct Replication {
  int replicas = 1;
  int gpus_each = 1;
};

// Reads the file's weights once and copies them to the GPUs of each replica, to each GPU its share,
// which become what `precision` says part by part as they come; the file may be closed afterwards.
// On one GPU a dense model's four bits stay what they are, if int4 is asked for. Sequences get as
// long as the model, `context_max` (0: no limit of its own) and the KV memory allow.
// backend_unavailable: no such GPUs that the kernels run on, or too little memory. invalid_request
// says what is wrong with the file, or which numbers of GPUs can share it.
Result<std::vector<std::unique_ptr<Executor>>> load_cuda_executors(
    const loader::ModelFile& file, const CudaExecutorOptions& options, int context_max,
    Replication replication);

// On the first GPU alone.
Result<std::unique_ptr<Executor>> load_cuda_executor(const loader::ModelFile& file,
                                                     const CudaExecutorOptions& options,
                                                     int context_max);

}  // namespace spillway::local::cuda
