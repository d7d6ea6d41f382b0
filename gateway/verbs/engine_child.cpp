// What this program starts of itself: `spillway engine-child`, the engine of a gateway whose local
// target has `isolation: process`, and `spillway forms-child`, which compiles forms for an engine.
#include "backends/isolated/engine_process.h"
#include "backends/local/grammar/form_server.h"
#include "gateway/engine_target.h"
#include "gateway/verbs/verbs.h"

namespace spillway::verbs {

int engine_child(const Arguments&) { isolated::run_engine_process(form_server()); }

int forms_child(const Arguments&) { local::grammar::run_form_server(); }

}  // namespace spillway::verbs
