#include "backends/local/engine/synthetic_executor.h"
#include "backends/local/local_backend.h"
#ifdef SPILLWAY_TORCH
#include "backends/local/model/torch_model.h"
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
  auto executor = std::make_unique<SyntheticExecutor>(step_model_of(target.step_prior), shape);
  return std::make_unique<LocalBackend>(target, make_synthetic_codec(), std::move(executor));
}

}  // namespace

Result<std::unique_ptr<LocalBackend>> make_local_backend(const config::LocalTarget& target) {
  const int kv_blocks = std::max(1, target.kv_tokens_max / kBlockTokens);
  if (target.executor == "synthetic") return make_synthetic(target, kv_blocks);
  if (target.executor != "torch") return wrong_target(target, "no executor " + target.executor);
#ifdef SPILLWAY_TORCH
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  TorchModelOptions options;
  options.model_path = target.model_path;
  options.precision = target.precision;
  options.threads = target.threads > 0 ? target.threads : std::max(1, cores);
  options.kv_blocks = kv_blocks;
  auto model = load_torch_model(options);
  if (!model) return wrong_target(target, model.error().message);
  return std::make_unique<LocalBackend>(target, std::move(model->codec),
                                        std::move(model->executor));
#else
  return wrong_target(target, "this build has no LibTorch; executor: synthetic is what it has");
#endif
}

}  // namespace spillway::local
