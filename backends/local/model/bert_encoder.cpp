// BERT and RoBERTa: embeddings, layers of attention to both sides and a feed forward, each followed
// by a norm, and the pooling that makes one vector of a text's. Inputs of a batch are padded to the
// longest; nobody attends to padding, so that it changes nothing.
#include "backends/local/loader/dequantize.h"
#include "backends/local/model/decoder_encoder_internal.h"
#include "backends/local/model/load_encoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace spillway::local {
namespace {

using loader::EncoderSpec;
using loader::Pooling;

struct Affine {
  at::Tensor weight;
  at::Tensor bias;
};

struct BertLayer {
  Affine query_key_value;
  Affine attended;
  Affine attended_norm;
  Affine inner;
  Affine outer;
  Affine outer_norm;
};

struct BertWeights {
  at::Tensor words;
  at::Tensor positions;  // From a text's first on, with the only token type that is used.
  Affine norm;
  std::vector<BertLayer> layers;
};

class WeightReader {
 public:
  explicit WeightReader(const loader::EncoderFolder& folder) : folder_(folder) {}

  BertWeights read() {
    const EncoderSpec& spec = folder_.spec;
    BertWeights weights;
    weights.words = matrix("embeddings.word_embeddings.weight", spec.vocabulary, spec.width);
    const auto positions =
        matrix("embeddings.position_embeddings.weight", spec.positions, spec.width);
    const auto types =
        matrix("embeddings.token_type_embeddings.weight", spec.token_types, spec.width);
    if (!problem_)
      weights.positions =
          positions.narrow(0, spec.first_position, spec.positions - spec.first_position) +
          types.narrow(0, 0, 1);
    weights.norm = norm("embeddings.LayerNorm");
    for (std::int64_t i = 0; i < spec.layers && !problem_; ++i)
      weights.layers.push_back(layer("encoder.layer." + std::to_string(i) + "."));
    return weights;
  }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  BertLayer layer(const std::string& name) {
    const EncoderSpec& spec = folder_.spec;
    const auto query = affine(name + "attention.self.query", spec.width, spec.width);
    const auto key = affine(name + "attention.self.key", spec.width, spec.width);
    const auto value = affine(name + "attention.self.value", spec.width, spec.width);
    BertLayer layer;
    if (!problem_)
      layer.query_key_value = {at::cat({query.weight, key.weight, value.weight}),
                               at::cat({query.bias, key.bias, value.bias})};
    layer.attended = affine(name + "attention.output.dense", spec.width, spec.width);
    layer.attended_norm = norm(name + "attention.output.LayerNorm");
    layer.inner = affine(name + "intermediate.dense", spec.inner_width, spec.width);
    layer.outer = affine(name + "output.dense", spec.width, spec.inner_width);
    layer.outer_norm = norm(name + "output.LayerNorm");
    return layer;
  }

  Affine affine(const std::string& name, std::int64_t rows, std::int64_t columns) {
    return {matrix(name + ".weight", rows, columns), values(name + ".bias", {rows})};
  }

  // Files that were made from TensorFlow's call them gamma and beta.
  Affine norm(const std::string& name) {
    const bool old = folder_.tensors.contains(name + ".gamma");
    const std::int64_t width = folder_.spec.width;
    return {values(name + (old ? ".gamma" : ".weight"), {width}),
            values(name + (old ? ".beta" : ".bias"), {width})};
  }

  at::Tensor matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    return values(name, {rows, columns});
  }

  at::Tensor values(const std::string& name, const std::vector<std::int64_t>& shape) {
    const auto found = folder_.tensors.find(name);
    if (found == folder_.tensors.end()) return keep("model.safetensors has no tensor " + name);
    if (found->second.shape != shape)
      return keep("tensor " + name + " is not of the shape that config.json says");
    auto out = at::empty(shape, at::kFloat);
    const auto count = static_cast<std::size_t>(out.numel());
    const auto done = loader::dequantize(found->second, {out.data_ptr<float>(), count});
    return done ? out : keep(done.error().message);
  }

  at::Tensor keep(std::string what) {
    if (!problem_) problem_ = Error{Errc::invalid_request, std::move(what), "", std::nullopt};
    return {};
  }

  const loader::EncoderFolder& folder_;
  std::optional<Error> problem_;
};

class BertEncoder final : public Encoder {
 public:
  BertEncoder(const EncoderSpec& spec, BertWeights weights, int threads)
      : spec_(spec), weights_(std::move(weights)), threads_(threads) {}

  Result<std::vector<Embedding>> embed(std::span<const TokenIds> inputs) override {
    try {
      const c10::InferenceMode no_gradients;
      at::set_num_threads(threads_);
      return rows_of(pooled(inputs));
    } catch (const std::exception& problem) {
      return Error{Errc::backend_unavailable, std::string("the encoder failed: ") + problem.what(),
                   "", std::nullopt};
    }
  }

 private:
  struct Batch {
    at::Tensor ids;   // [inputs, tokens], padded.
    at::Tensor kept;  // [inputs, tokens], 1 but for padding.
  };

  static Batch batch_of(std::span<const TokenIds> inputs) {
    const auto count = static_cast<std::int64_t>(inputs.size());
    const auto longest =
        static_cast<std::int64_t>(std::ranges::max_element(inputs, {}, &TokenIds::size)->size());
    Batch batch{at::zeros({count, longest}, at::kInt), at::zeros({count, longest}, at::kFloat)};
    for (std::int64_t i = 0; i < count; ++i) {
      const TokenIds& ids = inputs[static_cast<std::size_t>(i)];
      std::ranges::copy(ids, batch.ids.data_ptr<std::int32_t>() + i * longest);
      batch.kept[i].narrow(0, 0, static_cast<std::int64_t>(ids.size())).fill_(1.0);
    }
    return batch;
  }

  // [inputs, width]
  at::Tensor pooled(std::span<const TokenIds> inputs) const {
    const Batch batch = batch_of(inputs);
    auto hidden = at::embedding(weights_.words, batch.ids) +
                  weights_.positions.narrow(0, 0, batch.ids.size(1));
    hidden = normed(hidden, weights_.norm);
    const bool padded = batch.kept.min().item<float>() == 0.0F;
    const auto mask = padded
                          ? std::optional(((batch.kept - 1.0) * std::numeric_limits<float>::max())
                                              .unsqueeze(1)
                                              .unsqueeze(1))
                          : std::nullopt;
    for (const BertLayer& layer : weights_.layers) hidden = passed(layer, hidden, mask);
    auto vectors = hidden.select(1, 0);
    if (spec_.pooling == Pooling::last_token) {
      const auto last = batch.kept.sum(1).to(at::kLong) - 1;
      vectors = hidden.index({at::arange(hidden.size(0)), last});
    } else if (spec_.pooling == Pooling::mean) {
      const auto kept = batch.kept.unsqueeze(2);
      vectors = (hidden * kept).sum(1) / kept.sum(1);
    }
    if (spec_.normalizes) vectors = vectors / vectors.norm(2, 1, true).clamp_min(1e-12);
    return vectors.contiguous();
  }

  at::Tensor passed(const BertLayer& layer, const at::Tensor& hidden,
                    const std::optional<at::Tensor>& mask) const {
    const auto inputs = hidden.size(0), tokens = hidden.size(1);
    const auto parts = linear(hidden, layer.query_key_value)
                           .view({inputs, tokens, 3, spec_.heads, spec_.width / spec_.heads})
                           .permute({2, 0, 3, 1, 4});
    auto attended = at::scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
                        .transpose(1, 2)
                        .reshape({inputs, tokens, spec_.width});
    const auto once = normed(linear(attended, layer.attended) + hidden, layer.attended_norm);
    const auto inner = at::gelu(linear(once, layer.inner), spec_.gelu_by_tanh ? "tanh" : "none");
    return normed(linear(inner, layer.outer) + once, layer.outer_norm);
  }

  static at::Tensor linear(const at::Tensor& from, const Affine& by) {
    return at::linear(from, by.weight, by.bias);
  }

  at::Tensor normed(const at::Tensor& hidden, const Affine& by) const {
    return at::layer_norm(hidden, {spec_.width}, by.weight, by.bias, spec_.norm_epsilon);
  }

  static std::vector<Embedding> rows_of(const at::Tensor& vectors) {
    std::vector<Embedding> rows;
    const auto width = vectors.size(1);
    const float* const numbers = vectors.data_ptr<float>();
    for (std::int64_t i = 0; i < vectors.size(0); ++i)
      rows.emplace_back(numbers + i * width, numbers + (i + 1) * width);
    return rows;
  }

  const EncoderSpec spec_;
  const BertWeights weights_;
  const int threads_;
};

}  // namespace

Result<std::unique_ptr<Encoder>> load_encoder(const loader::EncoderFolder& folder, int threads) {
  try {
    if (folder.decoder) return load_decoder_encoder(folder, threads);
    WeightReader reader(folder);
    BertWeights weights = reader.read();
    if (reader.problem()) return *reader.problem();
    return std::make_unique<BertEncoder>(folder.spec, std::move(weights), threads);
  } catch (const std::exception& problem) {
    return Error{Errc::invalid_request, std::string("encoder: ") + problem.what(), "",
                 std::nullopt};
  }
}

}  // namespace spillway::local
