// Ops of the CPU as served: weights in the 4 or 8 bits of the file, activations rounded to 16 bits
// for each product, everything else in fp32, keys and values in 16 bits.
//
// Our own kernels (ops/cpu), chosen at start for what the processor has: AVX-512 VNNI, AVX2 or
// plain C++. They run on a Team of threads, not on LibTorch's. See Ops for threads.
#pragma once

#include "backends/local/ops/ops.h"

#include <memory>

namespace spillway::local::ops {

// `threads` compute, the caller included.
std::unique_ptr<Ops> make_packed_ops(int threads);

}  // namespace spillway::local::ops
