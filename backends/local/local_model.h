// What a local target is made of: the text side of its model, what computes it, and the engine that
// runs it.
//
// Called once at a start; blocks for as long as reading the file takes. Errors: invalid_request
// names what is wrong with the target (file, executor, precision); backend_unavailable, what this
// machine lacks (no GPU).
#pragma once

#include "backends/contract/error.h"
#include "backends/contract/status.h"
#include "config/settings.h"

#include <memory>

namespace spillway::local {

class Engine;
class EngineObserver;
class Executor;
class TextCodec;

struct LocalModel {
  LocalModel(std::unique_ptr<TextCodec> text, std::unique_ptr<Executor> weights);
  LocalModel(LocalModel&&) noexcept;
  ~LocalModel();

  std::unique_ptr<TextCodec> codec;
  std::unique_ptr<Executor> executor;
};

Result<LocalModel> load_local_model(const config::LocalTarget& target);

// The text side alone: no weights are read.
Result<std::unique_ptr<TextCodec>> load_local_text(const config::LocalTarget& target);

// The prior in the units of StepModel.
StepModel step_model_of(const config::StepPrior& prior);

// Whether the engine measures itself before its first request (engine/calibration.h).
enum class Calibrate { no, yes };

// Runs `executor` as the target says. `codec` and `observer`, if there is one, must outlive it.
std::unique_ptr<Engine> start_engine(const config::LocalTarget& target, const TextCodec& codec,
                                     std::unique_ptr<Executor> executor, Calibrate calibrate,
                                     EngineObserver* observer = nullptr);

}  // namespace spillway::local
