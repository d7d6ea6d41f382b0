// How long the device takes for what is enqueued on a stream.
#pragma once

#include "backends/contract/error.h"

#include <functional>

struct CUstream_st;

namespace spillway::local::cuda {

// Milliseconds of the shorter of two passes, `enqueue` putting one on the stream. Waits for it.
Result<float> milliseconds_of(CUstream_st* stream, const std::function<void()>& enqueue);

}  // namespace spillway::local::cuda
