#include "gateway/verbs/engine_model.h"

#include "gateway/live/fitted_engine.h"
#include "gateway/verbs/admin_options.h"

#include <chrono>
#include <cstdio>
#include <string>

namespace spillway::verbs {
namespace {

constexpr const char* kVerb = "spillway simulate";

int fail(const std::string& message, int status) {
  std::fprintf(stderr, "%s: %s\n", kVerb, message.c_str());
  return status;
}

// The engine's room as the policy's file has it, not the reference model's.
simulate::ReferenceEngineParams with_room_of(const config::LocalTarget& target,
                                             simulate::ReferenceEngineParams engine) {
  engine.sequences_max = target.sequences_max;
  engine.kv_tokens = target.kv_tokens_max;
  engine.step_budget = std::chrono::duration<double>(target.step_time_max).count();
  return engine;
}

void print_steps(const simulate::ReferenceEngineParams& engine) {
  std::printf(
      "engine      %.2f ms a step, %.1f us a sequence, %.1f ns a token of context, %.1f us one of "
      "a prompt\n",
      1e3 * engine.step_base, 1e6 * engine.step_per_sequence, 1e9 * engine.step_per_context_token,
      1e6 / engine.prompt_tokens_per_second);
}

}  // namespace

void declare_engine_model(Options& options) {
  options.value("--engine-model", "MODEL",
                "reference, or fitted: steps take what the gateway at --admin has measured of its "
                "own, with the room that the policy's local target has (default reference)");
  add_admin_options(options);
}

int choose_engine_model(const Options& options, SimulationSetup& setup) {
  const std::string model = options.get("--engine-model", "reference");
  if (model == "reference") return kDone;
  if (model != "fitted")
    return fail("--engine-model: reference or fitted, not '" + model + "'", kMisused);
  if (setup.settings->local.empty())
    return fail("--engine-model fitted needs a local target in --policy", kMisused);
  const auto door = admin_door(options, kVerb);
  if (!door) return door.exit_status();
  const auto fitted =
      live::fitted_engine(*door, with_room_of(setup.settings->local.front(), setup.engine));
  if (!fitted) return fail("--engine-model fitted: " + fitted.error().message, kFailed);
  const double slowdown = setup.engine.slowdown;
  setup.engine = *fitted;
  setup.engine.slowdown = slowdown;
  print_steps(setup.engine);
  return kDone;
}

}  // namespace spillway::verbs
