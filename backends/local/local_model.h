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

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace spillway::local {

class Engine;
class EngineDoor;
class EngineObserver;
class Executor;
class TextCodec;

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

// Runs `executor` as the target says. `codec` and `observer`, if there is one, must outlive it.
std::unique_ptr<Engine> start_engine(const config::LocalTarget& target, const TextCodec& codec,
                                     std::unique_ptr<Executor> executor, Calibrate calibrate,
                                     EngineObserver* observer = nullptr);

// The same with as many engines as there are executors. `on_failure`: one has ended, on its thread;
// it may be called as long as the door lives.
using OnReplicaFailure = std::function<void(std::size_t replica, const Error& why)>;
std::unique_ptr<EngineDoor> start_engines(const config::LocalTarget& target, const TextCodec& codec,
                                          std::vector<std::unique_ptr<Executor>> executors,
                                          Calibrate calibrate, OnReplicaFailure on_failure);

}  // namespace spillway::local
