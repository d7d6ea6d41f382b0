// From a model file to the executor that computes it on the GPU.
//
// Start-up only; the executor may then be used on another thread. Without CUDA in this header, so
// that who uses it needs none.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/cuda/cuda_executor.h"
#include "backends/local/loader/model_file.h"

#include <memory>

namespace spillway::local::cuda {

// Copies the file's weights to the first `gpus` GPUs, to each its share, as bf16; the file may be
// closed afterwards. Sequences get as long as the model, `context_max` (0: no limit of its own) and
// the KV memory allow. backend_unavailable: no such GPUs that the kernels run on, or too little
// memory. invalid_request says what is wrong with the file, or which numbers of GPUs can share it.
Result<std::unique_ptr<Executor>> load_cuda_executor(const loader::ModelFile& file,
                                                     const CudaExecutorOptions& options,
                                                     int context_max, int gpus = 1);

}  // namespace spillway::local::cuda
