// A few steps of known work before the first request, so that the first prediction already knows
// this machine: pages and caches are warm, and StepFit has seen prompts and batches of several
// sizes instead of its prior alone.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/engine/executor.h"
#include "backends/local/engine/step_fit.h"

namespace spillway::local {

// Runs about a dozen steps on the engine thread and tells `fit` what they took; well under a second
// for small models. What they write into the KV blocks is overwritten by the first sequences. Fails
// as `executor.run` does.
Result<void> calibrate(Executor& executor, int sequences_max, int step_tokens_max, StepFit& fit);

}  // namespace spillway::local
