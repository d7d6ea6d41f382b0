// From a model file to the executor that computes it, on LibTorch.
//
// Start-up only, any thread. Without torch in this header, so that who uses it needs none.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/engine/executor.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/quantize/precision.h"

#include <memory>
#include <string>

namespace spillway::local {

struct ExecutorOptions {
  // fp32 and bf16 by LibTorch; int8: the file's own 4 or 8 bits by activations of 16 bits
  // (packed_ops.h).
  std::string precision = "int8";
  int threads = 1;  // That compute a step, the engine's own included.
  int kv_blocks = 0;
  // Of fp32: what weights and KV cache would lose elsewhere (ops::Losses).
  Precision layers = Precision::fp32;
  bool kv_e4m3 = false;
};

// Packs the file's weights; the file may be closed afterwards. invalid_request says what is wrong
// with it or with the options.
Result<std::unique_ptr<Executor>> load_executor(const loader::ModelFile& file,
                                                const ExecutorOptions& options);

}  // namespace spillway::local
