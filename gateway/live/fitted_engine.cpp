#include "gateway/live/fitted_engine.h"

#include "backends/contract/status.h"

#include <cstdlib>
#include <optional>
#include <sstream>

namespace spillway::live {
namespace {

std::optional<double> term_of(const std::string& metrics, const std::string& term) {
  const std::string label = "term=\"" + term + "\"";
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("spillway_engine_step_model_seconds{")) continue;
    if (line.find(label) == line.npos) continue;
    return std::strtod(line.c_str() + line.rfind(' ') + 1, nullptr);
  }
  return std::nullopt;
}

}  // namespace

std::optional<simulate::ReferenceEngineParams> fitted_engine(
    const std::string& metrics, const simulate::ReferenceEngineParams& like) {
  const auto base = term_of(metrics, "base"), sequence = term_of(metrics, "per_sequence"),
             context = term_of(metrics, "per_context_token"),
             prefill = term_of(metrics, "per_prefill_token");
  if (!base || !sequence || !context || !prefill || *prefill <= 0.0) return std::nullopt;
  simulate::ReferenceEngineParams fitted = like;
  fitted.slowdown = 1.0;
  fitted.step_base = *base;
  fitted.step_per_sequence = *sequence;
  fitted.step_per_context_token = *context;
  fitted.prompt_tokens_per_second = 1.0 / *prefill;
  fitted.chunk_min = StepBudget{}.chunk_tokens_min;
  return fitted;
}

Result<simulate::ReferenceEngineParams> fitted_engine(const remote::AdminDoor& admin,
                                                      const simulate::ReferenceEngineParams& like) {
  const auto answer = remote::ask_admin(admin, "GET", "/metrics");
  if (!answer) return answer.error();
  const auto fitted = fitted_engine(answer->body, like);
  if (fitted) return *fitted;
  return Error{Errc::not_found, "its /metrics tells of no engine's steps", "", std::nullopt};
}

simulate::ReferenceEngineParams mean_pace(std::span<const simulate::ReferenceEngineParams> fitted) {
  const auto count = static_cast<double>(fitted.size());
  StepModel mean;
  for (const simulate::ReferenceEngineParams& one : fitted) {
    mean.base += one.step_base / count;
    mean.per_sequence += one.step_per_sequence / count;
    mean.per_context_token += one.step_per_context_token / count;
    mean.per_prefill_token += 1.0 / one.prompt_tokens_per_second / count;
  }
  simulate::ReferenceEngineParams params = fitted.front();
  params.step_base = mean.base;
  params.step_per_sequence = mean.per_sequence;
  params.step_per_context_token = mean.per_context_token;
  params.prompt_tokens_per_second = 1.0 / mean.per_prefill_token;
  return params;
}

}  // namespace spillway::live
