#include "backends/local/engine/synthetic_executor.h"
#include "backends/local/local_backend.h"
#ifdef SPILLWAY_TORCH
#include "backends/local/model/load_executor.h"
#include "backends/local/text_model_codec.h"
#endif

#include <algorithm>
#include <thread>

namespace spillway::local {

namespace {

constexpr int kSyntheticContext = 8'192;

Error wrong_target(const config::LocalTarget& target, const std::string& what) {
  return {Errc::invalid_request, "local target " + target.name + ": " + what, "", std::nullopt};
}

std::unique_ptr<LocalBackend> make_synthetic(const config::LocalTarget& target, int kv_blocks) {
  const int context = target.context_max > 0 ? target.context_max : kSyntheticContext;
  const ExecutorShape shape{kSyntheticVocabulary, context, kv_blocks};
  StepModel pace = step_model_of(target.step_prior);
  pace.base *= target.synthetic_slowdown;
  pace.per_sequence *= target.synthetic_slowdown;
  pace.per_context_token *= target.synthetic_slowdown;
  pace.per_prefill_token *= target.synthetic_slowdown;
  auto executor = std::make_unique<SyntheticExecutor>(pace, shape);
  return std::make_unique<LocalBackend>(target, make_synthetic_codec(), std::move(executor),
                                        Calibrate::yes);
}

#ifdef SPILLWAY_TORCH
Result<std::unique_ptr<LocalBackend>> make_from_file(const config::LocalTarget& target,
                                                     int kv_blocks) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  const int threads = target.threads > 0 ? target.threads : std::max(1, cores);
  const auto file = loader::GgufFile::open(target.model_path);
  if (!file) return wrong_target(target, file.error().message);
  auto codec = make_text_model_codec(*file);
  if (!codec) return wrong_target(target, codec.error().message);
  auto executor = load_executor(*file, {target.precision, threads, kv_blocks});
  if (!executor) return wrong_target(target, executor.error().message);
  return std::make_unique<LocalBackend>(target, std::move(*codec), std::move(*executor),
                                        Calibrate::yes);
}
#endif

}  // namespace

Result<std::unique_ptr<LocalBackend>> make_local_backend(const config::LocalTarget& target) {
  const int kv_blocks = std::max(1, target.kv_tokens_max / kBlockTokens);
  if (target.executor == "synthetic") return make_synthetic(target, kv_blocks);
  if (target.executor != "torch") return wrong_target(target, "no executor " + target.executor);
#ifdef SPILLWAY_TORCH
  return make_from_file(target, kv_blocks);
#else
  return wrong_target(target, "this build has no LibTorch; executor: synthetic is what it has");
#endif
}

}  // namespace spillway::local
