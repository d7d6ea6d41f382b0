#include "backends/local/cuda/decoder_division.h"
#include "backends/local/engine/synthetic_executor.h"
#include "backends/local/loader/gguf.h"
#include "backends/local/local_backend.h"
#include "backends/local/text_model_codec.h"
#ifdef SPILLWAY_TORCH
#include "backends/local/model/load_executor.h"
#endif
#ifdef SPILLWAY_CUDA
#include "backends/local/cuda/load_cuda_executor.h"
#endif

#include <algorithm>
#include <string_view>
#include <thread>

namespace spillway::local {

namespace {

constexpr int kSyntheticContext = 8'192;

Error wrong_target(const config::LocalTarget& target, const std::string& what) {
  return {Errc::invalid_request, "local target " + target.name + ": " + what, "", std::nullopt};
}

int kv_blocks_of(const config::LocalTarget& target) {
  return std::max(1, target.kv_tokens_max / kBlockTokens);
}

std::unique_ptr<LocalBackend> make_synthetic(const config::LocalTarget& target) {
  const int context = target.context_max > 0 ? target.context_max : kSyntheticContext;
  const ExecutorShape shape{kSyntheticVocabulary, context, kv_blocks_of(target)};
  StepModel pace = step_model_of(target.step_prior);
  pace.base *= target.synthetic_slowdown;
  pace.per_sequence *= target.synthetic_slowdown;
  pace.per_context_token *= target.synthetic_slowdown;
  pace.per_prefill_token *= target.synthetic_slowdown;
  auto executor = std::make_unique<SyntheticExecutor>(pace, shape);
  return std::make_unique<LocalBackend>(target, make_synthetic_codec(), std::move(executor),
                                        Calibrate::yes);
}

// How this build loads a model file.
using Load = Result<std::unique_ptr<Executor>> (*)(const config::LocalTarget& target,
                                                   const loader::GgufFile& file);

#ifdef SPILLWAY_TORCH
Result<std::unique_ptr<Executor>> load_on_torch(const config::LocalTarget& target,
                                                const loader::GgufFile& file) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  const int threads = target.threads > 0 ? target.threads : std::max(1, cores);
  const std::string precision(name_of(precision_of(target)));
  return load_executor(file, {precision, threads, kv_blocks_of(target)});
}
constexpr Load kTorch = load_on_torch;
#else
constexpr Load kTorch = nullptr;
#endif

#ifdef SPILLWAY_CUDA
Result<std::unique_ptr<Executor>> load_on_cuda(const config::LocalTarget& target,
                                               const loader::GgufFile& file) {
  cuda::CudaExecutorOptions options;
  options.kv_blocks = kv_blocks_of(target);
  options.sequences_max = target.sequences_max;
  options.step_tokens_max = std::max(target.step_tokens_max, target.sequences_max);
  options.precision = precision_of(target);
  options.kv_e4m3 = target.kv_cache == "fp8";
  return cuda::load_cuda_executor(file, options, target.context_max, target.tensor_parallel);
}
constexpr Load kCuda = load_on_cuda;
#else
constexpr Load kCuda = nullptr;
#endif

Result<std::unique_ptr<LocalBackend>> make_from_file(const config::LocalTarget& target, Load load) {
  const auto file = loader::GgufFile::open(target.model_path);
  if (!file) return wrong_target(target, file.error().message);
  auto codec = make_text_model_codec(*file);
  if (!codec) return wrong_target(target, codec.error().message);
  auto executor = load(target, *file);
  if (!executor) return wrong_target(target, executor.error().message);
  return std::make_unique<LocalBackend>(target, std::move(*codec), std::move(*executor),
                                        Calibrate::yes);
}

// An executor that needs a library, which a build may lack: `load` is null then.
struct FileExecutor {
  std::string_view name;
  std::string_view library;
  std::string_view option;
  Load load;
};

constexpr FileExecutor kFileExecutors[] = {{"torch", "LibTorch", "SPILLWAY_TORCH", kTorch},
                                           {"cuda", "CUDA", "SPILLWAY_CUDA", kCuda}};

Error not_built(const config::LocalTarget& target, const FileExecutor& executor) {
  return wrong_target(target, "this build has no " + std::string(executor.library) +
                                  ": build with -D" + std::string(executor.option) +
                                  "=ON, or choose another executor");
}

}  // namespace

Precision precision_of(const config::LocalTarget& target) {
  const Precision usual = target.executor == "cuda" ? Precision::bf16 : Precision::int8;
  return precision_named(target.precision).value_or(usual);
}

Result<void> check_local_target(const config::LocalTarget& target) {
  if (target.tensor_parallel == 1) return {};
  const auto divides = [&]() -> Result<void> {
    const auto file = loader::GgufFile::open(target.model_path);
    if (!file) return file.error();
    const auto spec = read_arch_spec(*file);
    if (!spec) return spec.error();
    const auto shape = cuda::shape_of(*spec, spec->context_max);
    if (!shape) return shape.error();
    return cuda::check_division(*shape, target.tensor_parallel);
  }();
  if (divides) return divides;
  return wrong_target(target, divides.error().message);
}

Result<std::unique_ptr<LocalBackend>> make_local_backend(const config::LocalTarget& target) {
  if (target.executor == "synthetic") return make_synthetic(target);
  for (const FileExecutor& executor : kFileExecutors) {
    if (executor.name != target.executor) continue;
    if (executor.load == nullptr) return not_built(target, executor);
    return make_from_file(target, executor.load);
  }
  return wrong_target(target, "no executor " + target.executor);
}

}  // namespace spillway::local
