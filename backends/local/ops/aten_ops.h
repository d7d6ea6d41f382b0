// Ops in plain ATen calls: short, obvious, and the oracle that faster ones are tested against.
//
// In fp32 it repeats what transformers computes; in bf16 weights and activations are rounded, while
// residual, norms and attention stay fp32. See Ops for threads.
#pragma once

#include "backends/local/ops/ops.h"

#include <memory>

namespace spillway::local::ops {

// `type` is at::kFloat or at::kBFloat16.
std::unique_ptr<Ops> make_aten_ops(at::ScalarType type);

}  // namespace spillway::local::ops
