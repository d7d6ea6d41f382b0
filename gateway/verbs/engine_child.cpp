// `spillway engine-child`: the engine in a process of its own, started by a gateway whose local
// target has `isolation: process`.
#include "backends/isolated/engine_process.h"
#include "gateway/verbs/verbs.h"

namespace spillway::verbs {

int engine_child(const Arguments&) { isolated::run_engine_process(); }

}  // namespace spillway::verbs
