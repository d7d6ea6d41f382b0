// Ops in plain ATen calls: short, obvious, and the oracle that faster ones are tested against.
//
// In fp32 it repeats what transformers computes; in bf16 weights and activations are rounded, while
// residual, norms and attention stay fp32. See Ops for threads.
#pragma once

#include "backends/local/ops/ops.h"
#include "backends/local/quantize/precision.h"

#include <memory>

namespace spillway::local::ops {

// What a device that keeps less would lose, while everything is computed as ever.
struct Losses {
  Precision layers = Precision::fp32;  // Weights of the layers' matrices.
  bool kv_e4m3 = false;                // Keys and values, with a scale for each head of a token.
};

// `type` is at::kFloat or at::kBFloat16.
std::unique_ptr<Ops> make_aten_ops(at::ScalarType type, const Losses& losses = {});

}  // namespace spillway::local::ops
