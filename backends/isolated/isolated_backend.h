// The local model with its engine in a process of its own: the Backend is the one of an engine in
// this process, prompts are encoded here as there, and only the engine's door leads elsewhere.
//
// Owns the supervisor. Made without waiting for the model; until that is loaded, and while no
// process lives, its status is not ready and `open` answers backend_unavailable.
#pragma once

#include "backends/isolated/supervisor.h"
#include "backends/local/local_backend.h"
#include "config/settings.h"

#include <memory>
#include <string>

namespace spillway::isolated {

struct IsolatedBackend {
  std::unique_ptr<local::LocalBackend> backend;
  std::shared_ptr<const Supervisor> supervisor;
};

// `program` is this program with the verb that leads to run_engine_process. invalid_request names
// what is wrong with the target, as far as its text can tell.
Result<IsolatedBackend> make_isolated_backend(const config::LocalTarget& target,
                                              process::Program program, Tell tell);

}  // namespace spillway::isolated
