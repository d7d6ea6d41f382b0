#include "backends/local/quality.h"

#include "backends/local/arch/arch_spec.h"
#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/file_weights.h"
#include "backends/local/cuda/int4_rows.h"
#include "backends/local/engine/executor.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/quality_texts.h"
#include "backends/local/text.h"
#include "backends/local/text_model_codec.h"
#ifdef SPILLWAY_TORCH
#include "backends/local/model/torch_library.h"
#include "backends/local/open_torch.h"
#endif
#ifdef SPILLWAY_CUDA
#include "backends/local/cuda/load_cuda_executor.h"
#endif

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

namespace spillway::local {

namespace {

constexpr int kChunk = 64;    // Tokens of a step, each of which wants logits.
constexpr int kBlocks = 64;   // Of KV cache: more than any of the texts needs.
constexpr Storage kBaseline;  // What all others are held beside.

using Loaded = Result<std::unique_ptr<Executor>>;
using Tokens = std::vector<std::int32_t>;

Error no_executor(const std::string& executor) {
  return {Errc::invalid_request, "this build has no executor " + executor, "", std::nullopt};
}

// A file's own four bits that are kept as they are: what they lost is in all that is read of it.
cuda::FourBits kept_of(const loader::ModelFile& file, Precision precision) {
  const auto spec = read_arch_spec(file);
  if (precision != Precision::int4 || !spec) return std::nullopt;
  return cuda::kept_four_bits(file, *spec, 1);
}

Loaded load(const loader::ModelFile& file, const std::string& executor, const Storage& storage) {
#ifdef SPILLWAY_TORCH
  if (executor == "torch") {
    // LibTorch's threads wait by spinning: on a busy machine, as many as cores hinder each other.
    const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
    const Precision losing = kept_of(file, storage.weights) ? kBaseline.weights : storage.weights;
    const auto torch = open_torch();
    if (!torch) return torch.error();
    return (*torch)->make_executor(file, {"fp32", threads, kBlocks, losing, storage.kv_fp8});
  }
#endif
#ifdef SPILLWAY_CUDA
  if (executor == "cuda") {
    cuda::CudaExecutorOptions options;
    options.kv_blocks = kBlocks;
    options.sequences_max = kChunk;
    options.step_tokens_max = kChunk;
    options.graphs = false;
    options.precision = storage.weights;
    options.kv_e4m3 = storage.kv_fp8;
    return cuda::load_cuda_executor(file, options, 0);
  }
#endif
  (void)file;
  (void)storage;
  return no_executor(executor);
}

// The logits of every token of a text, one row behind the other.
Result<std::vector<float>> read_along(Executor& executor, const Tokens& tokens) {
  std::vector<std::int32_t> blocks(kBlocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::vector<float> logits;
  for (int from = 0; from < static_cast<int>(tokens.size()); from += kChunk) {
    const int count = std::min(kChunk, static_cast<int>(tokens.size()) - from);
    Slice slice;
    slice.tokens =
        std::span(tokens).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(count));
    slice.first_position = from;
    slice.blocks = blocks;
    slice.logits_rows = count;
    const auto result = executor.run(std::span(&slice, 1));
    if (!result) return result.error();
    logits.insert(logits.end(), result->logits.begin(), result->logits.end());
  }
  return logits;
}

std::vector<double> log_probabilities(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - top);
  std::vector<double> out;
  for (const float logit : logits) out.push_back(logit - top - std::log(sum));
  return out;
}

void add_row(std::span<const float> baseline, std::span<const float> logits, Drift& drift) {
  const auto top = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  const auto p = log_probabilities(baseline);
  const auto q = log_probabilities(logits);
  for (std::size_t i = 0; i < p.size(); ++i) drift.divergence += std::exp(p[i]) * (p[i] - q[i]);
  drift.same_top += top(baseline) == top(logits) ? 1.0 : 0.0;
  ++drift.tokens;
}

// What the texts say in bf16, and how far others are from it.
class Yardstick {
 public:
  static Result<Yardstick> make(const loader::ModelFile& file, const std::string& executor) {
    const auto codec = make_text_model_codec(file);
    if (!codec) return codec.error();
    Yardstick yardstick(executor);
    for (const std::string_view text : kQualityTexts) {
      auto tokens = (*codec)->encode_text(text, TextModel::kAnyNumber);
      if (!tokens) return tokens.error();
      tokens->resize(std::min<std::size_t>(tokens->size(), kBlocks * kBlockTokens));
      yardstick.texts_.push_back(std::move(*tokens));
    }
    auto logits = yardstick.answers(file, kBaseline);
    if (!logits) return logits.error();
    yardstick.baseline_ = std::move(*logits);
    return yardstick;
  }

  Result<Drift> drift(const loader::ModelFile& file, const Storage& storage) const {
    const auto logits = answers(file, storage);
    if (!logits) return logits.error();
    Drift drift;
    for (std::size_t text = 0; text < texts_.size(); ++text) {
      const std::size_t rows = texts_[text].size();
      const std::size_t width = baseline_[text].size() / rows;
      for (std::size_t row = 0; row < rows; ++row) {
        add_row(std::span(baseline_[text]).subspan(row * width, width),
                std::span((*logits)[text]).subspan(row * width, width), drift);
      }
    }
    drift.divergence /= drift.tokens;
    drift.same_top /= drift.tokens;
    return drift;
  }

 private:
  explicit Yardstick(std::string executor) : executor_(std::move(executor)) {}

  Result<std::vector<std::vector<float>>> answers(const loader::ModelFile& file,
                                                  const Storage& storage) const {
    const auto executor = load(file, executor_, storage);
    if (!executor) return executor.error();
    std::vector<std::vector<float>> all;
    for (const Tokens& tokens : texts_) {
      auto logits = read_along(**executor, tokens);
      if (!logits) return logits.error();
      all.push_back(std::move(*logits));
    }
    return all;
  }

  std::string executor_;
  std::vector<Tokens> texts_;
  std::vector<std::vector<float>> baseline_;  // Of each text.
};

Cost memory_of(const loader::ModelFile& file, const cuda::DecoderShape& shape,
               const Storage& storage) {
  Cost cost;
  cost.storage = storage;
  const cuda::FourBits kept = kept_of(file, storage.weights);
  const Precision others = storage.weights == Precision::fp32 ? Precision::fp32 : Precision::bf16;
  for (const cuda::RoomShape& room : cuda::rooms_of(shape)) {
    const bool matrix = cuda::is_matrix_of_layer(room);
    const Precision precision = matrix ? storage.weights : others;
    const std::int64_t bytes = matrix && kept
                                   ? room.rows * cuda::int4_row(*kept, room.columns).bytes()
                                   : matrix_bytes(precision, room.rows, room.columns);
    cost.weight_bytes += bytes;
    if (matrix) cost.matrix_bytes += bytes;
  }
  const std::int64_t value = storage.weights == Precision::fp32 ? 4 : 2;
  const std::int64_t line = shape.head_width + std::int64_t{sizeof(float)};
  cost.kv_token_bytes =
      shape.layers * (storage.kv_fp8 ? 2 * line * shape.kv_heads : shape.kv_token_width() * value);
  return cost;
}

Result<cuda::DecoderShape> shape_in(const loader::ModelFile& file) {
  const auto spec = read_arch_spec(file);
  if (!spec) return spec.error();
  return cuda::shape_of(*spec, spec->context_max);
}

// Latent rows stay what they are.
std::vector<Storage> storages(const std::string& executor, const cuda::DecoderShape& shape) {
  std::vector<Storage> all = {kBaseline,
                              {Precision::bf16, true},
                              {Precision::fp8, false},
                              {Precision::fp8, true},
                              {Precision::int8, false},
                              {Precision::int4, false},
                              {Precision::int4, true}};
  if (executor != "cuda") all.insert(all.begin(), {Precision::fp32, false});
  if (shape.latent.used()) std::erase_if(all, [](const Storage& one) { return one.kv_fp8; });
  return all;
}

}  // namespace

std::string measuring_executor() {
#if defined(SPILLWAY_CUDA)
  return "cuda";
#elif defined(SPILLWAY_TORCH)
  return "torch";
#else
  return "";
#endif
}

Result<Cost> memory_cost(const std::string& model_path, const Storage& storage) {
  const auto file = loader::ModelFile::open(model_path);
  if (!file) return file.error();
  const auto shape = shape_in(*file);
  if (!shape) return shape.error();
  return memory_of(*file, *shape, storage);
}

Result<void> measure_costs(const std::string& model_path, const std::string& executor,
                           const std::function<void(const Cost&)>& each) {
  const auto file = loader::ModelFile::open(model_path);
  if (!file) return file.error();
  const auto shape = shape_in(*file);
  if (!shape) return shape.error();
  std::optional<Yardstick> yardstick;
  if (!executor.empty()) {
    auto made = Yardstick::make(*file, executor);
    if (!made) return made.error();
    yardstick = std::move(*made);
  }
  for (const Storage& storage : storages(executor, *shape)) {
    Cost cost = memory_of(*file, *shape, storage);
    if (yardstick) {
      const auto drift = yardstick->drift(*file, storage);
      if (!drift) return drift.error();
      cost.drift = *drift;
    }
    each(cost);
  }
  return {};
}

}  // namespace spillway::local
