#include "backends/local/local_model.h"

#include "backends/local/cuda/decoder_division.h"
#include "backends/local/engine/engine.h"
#include "backends/local/engine/replicas.h"
#include "backends/local/engine/synthetic_executor.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/local_backend.h"
#include "backends/local/text_model_codec.h"
#ifdef SPILLWAY_TORCH
#include "backends/local/model/torch_library.h"
#include "backends/local/open_torch.h"
#endif
#ifdef SPILLWAY_CUDA
#include "backends/local/cuda/file_weights.h"
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

// What `cause` says, of this target; a device that is not there stays one.
Error at_fault(const config::LocalTarget& target, const Error& cause) {
  Error error = wrong_target(target, cause.message);
  if (cause.code == Errc::backend_unavailable) error.code = cause.code;
  return error;
}

int kv_blocks_of(const config::LocalTarget& target) {
  return std::max(1, target.kv_tokens_max / kBlockTokens);
}

std::unique_ptr<Executor> make_synthetic(const config::LocalTarget& target) {
  const int context = target.context_max > 0 ? target.context_max : kSyntheticContext;
  const ExecutorShape shape{kSyntheticVocabulary, context, kv_blocks_of(target), true, true};
  StepModel pace = step_model_of(target.step_prior);
  pace.base *= target.synthetic_slowdown;
  pace.per_sequence *= target.synthetic_slowdown;
  pace.per_context_token *= target.synthetic_slowdown;
  pace.per_prefill_token *= target.synthetic_slowdown;
  return std::make_unique<SyntheticExecutor>(pace, shape);
}

EngineLimits limits_of(const config::LocalTarget& target, Calibrate calibrate) {
  EngineLimits limits;
  limits.calibrate = calibrate == Calibrate::yes;
  limits.sequences_max = target.sequences_max;
  limits.step.tokens_max = target.step_tokens_max;
  limits.step.seconds_max = std::chrono::duration<double>(target.step_time_max).count();
  limits.waiting_max = target.waiting_max;
  limits.context_max = target.context_max;
  limits.prefix_cache = target.prefix_cache;
  limits.drafts = {target.speculation.drafts, target.speculation.longest};
  return limits;
}

// How this build loads a model file.
using Executors = std::vector<std::unique_ptr<Executor>>;
using Load = Result<Executors> (*)(const config::LocalTarget& target,
                                   const loader::ModelFile& file);

#ifdef SPILLWAY_TORCH
Result<Executors> load_on_torch(const config::LocalTarget& target, const loader::ModelFile& file) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  const int all_threads = target.threads > 0 ? target.threads : cores;
  const int threads = std::max(1, all_threads / target.replicas);
  const std::string precision(name_of(precision_of(target, false)));
  const auto torch = open_torch();
  if (!torch) return torch.error();
  Executors executors;
  for (int i = 0; i < target.replicas; ++i) {
    auto executor = (*torch)->make_executor(file, {precision, threads, kv_blocks_of(target)});
    if (!executor) return executor.error();
    executors.push_back(std::move(*executor));
  }
  return executors;
}
constexpr Load kTorch = load_on_torch;
#else
constexpr Load kTorch = nullptr;
#endif

#ifdef SPILLWAY_CUDA
Result<Executors> load_on_cuda(const config::LocalTarget& target, const loader::ModelFile& file) {
  const auto spec = read_arch_spec(file);
  if (!spec) return spec.error();
  const auto own = cuda::kept_four_bits(file, *spec, target.tensor_parallel);
  cuda::CudaExecutorOptions options;
  options.kv_blocks = kv_blocks_of(target);
  options.sequences_max = target.sequences_max;
  options.step_tokens_max = std::max(target.step_tokens_max, target.sequences_max);
  options.precision = precision_of(target, own.has_value());
  options.kv_e4m3 = target.kv_cache == "fp8";
  return cuda::load_cuda_executors(file, options, target.context_max,
                                   {target.replicas, target.tensor_parallel});
}
constexpr Load kCuda = load_on_cuda;
#else
constexpr Load kCuda = nullptr;
#endif

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

Result<Load> load_of(const config::LocalTarget& target) {
  for (const FileExecutor& executor : kFileExecutors) {
    if (executor.name != target.executor) continue;
    if (executor.load == nullptr) return not_built(target, executor);
    return executor.load;
  }
  return wrong_target(target, "no executor " + target.executor);
}

struct OpenModel {
  loader::ModelFile file;
  std::unique_ptr<TextCodec> codec;
};

Result<OpenModel> open_model(const config::LocalTarget& target, loader::Bytes bytes) {
  auto file = loader::ModelFile::open(target.model_path, bytes);
  if (!file) return at_fault(target, file.error());
  auto codec = make_text_model_codec(
      *file, target.generation_config ? SamplingOf::model : SamplingOf::openai);
  if (!codec) return at_fault(target, codec.error());
  return OpenModel{std::move(*file), std::move(*codec)};
}

}  // namespace

Precision precision_of(const config::LocalTarget& target, bool keeps_int4) {
  const Precision usual = target.executor != "cuda" ? Precision::int8
                          : keeps_int4              ? Precision::int4
                                                    : Precision::bf16;
  return precision_named(target.precision).value_or(usual);
}

Result<void> check_local_target(const config::LocalTarget& target) {
  if (target.tensor_parallel == 1) return {};
  const auto divides = [&]() -> Result<void> {
    const auto file = loader::ModelFile::open(target.model_path, loader::Bytes::as_they_lie);
    if (!file) return file.error();
    const auto spec = read_arch_spec(*file);
    if (!spec) return spec.error();
    const int context = target.context_max > 0 ? target.context_max : spec->context_max;
    const auto shape = cuda::shape_of(*spec, context);
    if (!shape) return shape.error();
    return cuda::check_division(*shape, target.tensor_parallel);
  }();
  if (divides) return divides;
  return wrong_target(target, divides.error().message);
}

LocalModel::LocalModel(std::unique_ptr<TextCodec> text,
                       std::vector<std::unique_ptr<Executor>> weights)
    : codec(std::move(text)), executors(std::move(weights)) {}
LocalModel::LocalModel(LocalModel&&) noexcept = default;
LocalModel::~LocalModel() = default;

Result<LocalModel> load_local_model(const config::LocalTarget& target) {
  if (target.executor == "synthetic") {
    Executors executors;
    for (int i = 0; i < target.replicas; ++i) executors.push_back(make_synthetic(target));
    return LocalModel(make_synthetic_codec(), std::move(executors));
  }
  const auto load = load_of(target);
  if (!load) return load.error();
  auto model = open_model(target, loader::Bytes::all);
  if (!model) return model.error();
  auto executors = (*load)(target, model->file);
  if (!executors) return at_fault(target, executors.error());
  return LocalModel(std::move(model->codec), std::move(*executors));
}

Result<std::unique_ptr<TextCodec>> load_local_text(const config::LocalTarget& target) {
  if (target.executor == "synthetic") return make_synthetic_codec();
  const auto load = load_of(target);
  if (!load) return load.error();
  auto model = open_model(target, loader::Bytes::as_they_lie);
  if (!model) return model.error();
  return std::move(model->codec);
}

StepModel step_model_of(const config::StepPrior& prior) {
  StepModel model;
  model.base = prior.base_ms * 1e-3;
  model.per_sequence = prior.per_sequence_ms * 1e-3;
  model.per_context_token = prior.per_context_token_us * 1e-6;
  model.per_prefill_token = prior.per_prefill_token_us * 1e-6;
  return model;
}

std::unique_ptr<InProcessEngine> start_engines(const config::LocalTarget& target,
                                               const TextCodec& codec,
                                               std::vector<std::unique_ptr<Executor>> executors,
                                               Calibrate calibrate,
                                               std::optional<process::Program> form_server,
                                               OnReplicaFailure on_failure,
                                               const Observers& observers) {
  EngineLimits limits = limits_of(target, calibrate);
  limits.form_server = std::move(form_server);
  const StepModel prior = step_model_of(target.step_prior);
  if (executors.size() > 1)
    return std::make_unique<Replicas>(limits, prior, codec, std::move(executors),
                                      std::move(on_failure), observers);
  EngineObserver* const observer = observers.engines.empty() ? nullptr : observers.engines.front();
  return std::make_unique<Engine>(limits, prior, codec, std::move(executors.front()), observer);
}

Result<std::unique_ptr<LocalBackend>> make_local_backend(
    const config::LocalTarget& target, std::optional<process::Program> form_server,
    OnReplicaFailure on_failure) {
  auto model = load_local_model(target);
  if (!model) return model.error();
  auto engines = start_engines(target, *model->codec, std::move(model->executors), Calibrate::yes,
                               std::move(form_server), std::move(on_failure), {});
  return std::make_unique<LocalBackend>(target.name, std::move(model->codec), std::move(engines));
}

}  // namespace spillway::local
