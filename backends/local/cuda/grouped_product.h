// A product of groups by the kernel that suits how many rows there are.
#pragma once

#include "backends/local/kernels/expert_kernels.h"

namespace spillway::local::cuda {

// Status of CUDA. `few`: no group has more than kernels::kSkinnyTokensMax rows. With a norm_weight,
// which takes few rows, x is normed on the way in.
inline int enqueue_grouped(const kernels::GroupedLinear& product, bool few, CUstream_st* stream,
                           const void* norm_weight = nullptr, float epsilon = 0.0f) {
  if (!few) return spillway_grouped_linear(&product, stream);
  const kernels::GroupedSkinny args = {product, norm_weight, epsilon};
  return spillway_grouped_skinny(&args, stream);
}

}  // namespace spillway::local::cuda
