// What a local target is made of: the text side of its model, what computes it, and the engine that
// runs it.
//
// Called once at a start; blocks for as long as reading the file takes. Errors: invalid_request
// names what is wrong with the target (file, executor, precision); backend_unavailable, what this
// machine lacks (no GPU).
#pragma once

#include "backends/contract/error.h"
#include "backends/contract/status.h"
#include "backends/process/child_process.h"
#include "config/settings.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace spillway::local {

class Executor;
class InProcessEngine;
class TextCodec;
struct Observers;

struct LocalModel {
  LocalModel(std::unique_ptr<TextCodec> text, std::vector<std::unique_ptr<Executor>> weights);
  LocalModel(LocalModel&&) noexcept;
  ~LocalModel();

  std::unique_ptr<TextCodec> codec;
  std::vector<std::unique_ptr<Executor>> executors;  // One for each replica.
};

Result<LocalModel> load_local_model(const config::LocalTarget& target);

// The text side alone: no weights are read.
Result<std::unique_ptr<TextCodec>> load_local_text(const config::LocalTarget& target);

// The prior in the units of StepModel.
StepModel step_model_of(const config::StepPrior& prior);

// Whether the engine measures itself before its first request (engine/calibration.h).
enum class Calibrate { no, yes };

// Runs as many engines as there are executors, as the target says. `codec` and `observers` must
// outlive them. `form_server`: as EngineLimits'. `on_failure`: one of several has ended, on its
// thread; it may be called as long as they live.
using OnReplicaFailure = std::function<void(std::size_t replica, const Error& why)>;
std::unique_ptr<InProcessEngine> start_engines(const config::LocalTarget& target,
                                               const TextCodec& codec,
                                               std::vector<std::unique_ptr<Executor>> executors,
                                               Calibrate calibrate,
                                               std::optional<process::Program> form_server,
                                               OnReplicaFailure on_failure,
                                               const Observers& observers);

}  // namespace spillway::local
