// The other end: a process that runs the engine for the gateway that started it.
#pragma once

#include "backends/process/child_process.h"

namespace spillway::isolated {

// Serves orders from the line at its numbers (line.h) until it is told to stop, its engine fails or
// the gateway is gone, and then ends the process with one of Exit, without ceremony: a GPU that
// failed may not let go. Signals that stop a gateway are left to that.
// `form_server`: as local::EngineLimits'.
[[noreturn]] void run_engine_process(process::Program form_server);

}  // namespace spillway::isolated
