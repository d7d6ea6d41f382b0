#include "backends/local/engine/executor.h"
#include "backends/local/model/decoder_encoder_internal.h"
#include "backends/local/model/decoder_internal.h"
#include "backends/local/ops/aten_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace spillway::local {
namespace {

using loader::Pooling;

// Tokens of a step: attention takes memory for each of them times all before.
constexpr std::size_t kStepTokens = 512;

int blocks_of(std::size_t tokens) {
  return static_cast<int>((tokens + kBlockTokens - 1) / kBlockTokens);
}

// The same step of several inputs: of each the tokens from `begin` on, as many as a step takes.
class StepOfInputs {
 public:
  StepOfInputs(std::span<const TokenIds> inputs, std::size_t begin) {
    int first_block = 0;
    for (const TokenIds& ids : inputs) {
      const std::size_t end = std::min(begin + kStepTokens, ids.size());
      for (std::size_t at = begin; at < end; ++at) {
        ids_.push_back(ids[at]);
        positions_.push_back(static_cast<int>(at));
        slots_.push_back(first_block * kBlockTokens + static_cast<int>(at));
      }
      starts_.push_back(static_cast<int>(ids_.size()));
      context_.push_back(static_cast<int>(end));
      first_blocks_.push_back(first_block);
      first_block += blocks_of(ids.size());
    }
  }

  ops::StepTensors tensors() const {
    ops::StepTensors step;
    step.ids = at::tensor(ids_, at::kInt);
    step.positions = at::tensor(positions_, at::kInt);
    step.slots = at::tensor(slots_, at::kInt);
    step.query_start = at::tensor(starts_, at::kInt);
    step.context = at::tensor(context_, at::kInt);
    step.context_max = *std::ranges::max_element(context_);
    step.query_max = static_cast<int>(ids_.size());
    step.block_table = at::tensor(first_blocks_, at::kInt).unsqueeze(1) +
                       at::arange(blocks_of(static_cast<std::size_t>(step.context_max)), at::kInt);
    step.logit_rows = at::empty({0}, at::kInt);
    return step;
  }

  // Of an input, among the rows of the step.
  at::Tensor rows_of(const at::Tensor& hidden, std::size_t input) const {
    return hidden.slice(0, starts_[input], starts_[input + 1]);
  }

 private:
  std::vector<int> ids_, positions_, slots_, context_, first_blocks_;
  std::vector<int> starts_{0};
};

class DecoderEncoder final : public Encoder {
 public:
  DecoderEncoder(const loader::EncoderSpec& spec, std::unique_ptr<Decoder> decoder, int kv_blocks,
                 int threads)
      : spec_(spec), decoder_(std::move(decoder)), kv_blocks_(kv_blocks), threads_(threads) {}

  Result<std::vector<Embedding>> embed(std::span<const TokenIds> inputs) override {
    try {
      const at::InferenceMode no_gradients;
      at::set_num_threads(threads_);
      std::vector<Embedding> embeddings;
      while (!inputs.empty()) {
        const std::size_t count = inputs_at_once(inputs);
        append(pooled(inputs.first(count)), embeddings);
        inputs = inputs.subspan(count);
      }
      return embeddings;
    } catch (const std::exception& problem) {
      return Error{Errc::backend_unavailable, std::string("the encoder failed: ") + problem.what(),
                   "", std::nullopt};
    }
  }

 private:
  // One that is longer than a step is alone.
  std::size_t inputs_at_once(std::span<const TokenIds> inputs) const {
    std::size_t count = 1;
    std::size_t tokens = inputs[0].size();
    int blocks = blocks_of(tokens);
    for (; count < inputs.size(); ++count) {
      tokens += inputs[count].size();
      blocks += blocks_of(inputs[count].size());
      if (tokens > kStepTokens || blocks > kv_blocks_) break;
    }
    return count;
  }

  // [inputs, width]
  at::Tensor pooled(std::span<const TokenIds> inputs) {
    const std::size_t longest = std::ranges::max_element(inputs, {}, &TokenIds::size)->size();
    auto vectors = at::zeros({static_cast<std::int64_t>(inputs.size()), spec_.width}, at::kFloat);
    for (std::size_t begin = 0; begin < longest; begin += kStepTokens) {
      const StepOfInputs step(inputs, begin);
      const auto hidden = decoder_->hidden(step.tensors());
      for (std::size_t i = 0; i < inputs.size(); ++i)
        pool(step.rows_of(hidden, i), begin == 0, inputs[i].size(),
             vectors[static_cast<std::int64_t>(i)]);
    }
    if (spec_.normalizes) vectors = vectors / vectors.norm(2, 1, true).clamp_min(1e-12);
    return vectors;
  }

  // Adds a step's share of a text of so many tokens.
  void pool(const at::Tensor& rows, bool is_first, std::size_t tokens, at::Tensor vector) const {
    switch (spec_.pooling) {
      case Pooling::mean: vector.add_(rows.sum(0), 1.0 / static_cast<double>(tokens)); return;
      case Pooling::last_token: vector.copy_(rows[-1]); return;
      case Pooling::first_token:
        if (is_first) vector.copy_(rows[0]);
        return;
    }
  }

  static void append(const at::Tensor& vectors, std::vector<Embedding>& embeddings) {
    const auto width = vectors.size(1);
    const float* const numbers = vectors.data_ptr<float>();
    for (std::int64_t i = 0; i < vectors.size(0); ++i)
      embeddings.emplace_back(numbers + i * width, numbers + (i + 1) * width);
  }

  const loader::EncoderSpec spec_;
  const std::unique_ptr<Decoder> decoder_;
  const int kv_blocks_;
  const int threads_;
};

}  // namespace

Result<std::unique_ptr<Encoder>> load_decoder_encoder(const loader::EncoderFolder& folder,
                                                      int threads) {
  auto arch = read_arch_spec(*folder.decoder);
  if (!arch) return arch.error();
  const int kv_blocks = blocks_of(static_cast<std::size_t>(folder.spec.tokens_max));
  auto decoder =
      Decoder::load(*folder.decoder, std::move(*arch), ops::make_aten_ops(at::kFloat), kv_blocks);
  if (!decoder) return decoder.error();
  return std::make_unique<DecoderEncoder>(folder.spec, std::move(*decoder), kv_blocks, threads);
}

}  // namespace spillway::local
