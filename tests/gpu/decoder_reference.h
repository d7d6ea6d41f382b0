// A whole decoder in double precision, one sequence at a time, as the definition says: the oracle
// of the GPU's passes.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "tests/gpu/device_array.h"

#include <algorithm>
#include <map>
#include <string>

namespace spillway::gpu_test {

using local::cuda::DecoderShape;
using local::cuda::DecoderWeights;

class DecoderReference {
 public:
  // Makes random weights and puts them on the device too.
  DecoderReference(const DecoderShape& shape, const DecoderWeights& weights) : shape_(shape) {
    for (const auto& room : weights.rooms()) {
      const bool is_norm = room.name.ends_with("norm");
      const float deviation =
          is_norm || room.name.ends_with("bias") ? 0.3f : 1.0f / std::sqrt(float(room.columns));
      auto values = random_bf16(room.elements, deviation, is_norm ? 1.0f : 0.0f);
      check(cudaMemcpy(room.data, values.data(), values.size() * 2, cudaMemcpyHostToDevice),
            "weights");
      tensors_[room.name] = std::move(values);
    }
    if (shape.head_is_embedding) tensors_["head"] = tensors_["embedding"];
  }

  // Other values for a tensor.
  void replace(const std::string& name, std::vector<Bf16> values) {
    tensors_.at(name) = std::move(values);
  }

  // Logits after every token of the sequence: [tokens, vocabulary].
  std::vector<double> logits(const std::vector<std::int32_t>& tokens) const {
    std::vector<Row> hidden;
    for (const auto token : tokens) hidden.push_back(row_of(tensors_.at("embedding"), token));
    for (int layer = 0; layer < shape_.layers; ++layer) {
      const std::string prefix = "layers." + std::to_string(layer) + ".";
      attend(prefix, hidden);
      for (Row& h : hidden) feed_forward(prefix, h);
    }
    std::vector<double> all;
    for (const Row& h : hidden) {
      const Row out = product("head", normed(h, tensors_.at("last_norm"), 0, shape_.width));
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  }

 private:
  using Row = std::vector<double>;

  Row row_of(const std::vector<Bf16>& table, int index) const {
    const auto from = table.begin() + long(index) * shape_.width;
    return Row(from, from + shape_.width);
  }

  Row product(const std::string& name, const Row& x) const {
    const auto& matrix = tensors_.at(name);
    Row out(matrix.size() / x.size(), 0.0);
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (std::size_t j = 0; j < x.size(); ++j) out[i] += double(matrix[i * x.size() + j]) * x[j];
    }
    return out;
  }

  Row normed(const Row& x, const std::vector<Bf16>& weight, int begin, int width) const {
    double squares = 0.0;
    for (int i = 0; i < width; ++i) squares += x[begin + i] * x[begin + i];
    const double scale = 1.0 / std::sqrt(squares / width + shape_.norm_epsilon);
    Row out(width);
    for (int i = 0; i < width; ++i) out[i] = x[begin + i] * scale * weight[i];
    return out;
  }

  // Head `head` of a fused row, with what the architecture does to it at `position`.
  Row head_of(const std::string& prefix, const Row& qkv, int head, int position) const {
    const int width = shape_.head_width;
    Row out(qkv.begin() + head * width, qkv.begin() + (head + 1) * width);
    if (head >= shape_.query_heads + shape_.kv_heads) return out;
    if (shape_.head_norms) {
      out = normed(out, tensors_.at(prefix + (head < shape_.query_heads ? "q_norm" : "k_norm")), 0,
                   width);
    }
    for (int i = 0; i < width / 2; ++i) {
      const double angle = position * shape_.inverse_frequencies[i];
      const double a = out[i];
      const double b = out[i + width / 2];
      out[i] = shape_.rope_gain * (a * std::cos(angle) - b * std::sin(angle));
      out[i + width / 2] = shape_.rope_gain * (b * std::cos(angle) + a * std::sin(angle));
    }
    return out;
  }

  void attend(const std::string& prefix, std::vector<Row>& hidden) const {
    const int heads = shape_.query_heads + 2 * shape_.kv_heads;
    std::vector<std::vector<Row>> parts;  // [position][head]
    for (std::size_t p = 0; p < hidden.size(); ++p) {
      Row qkv = product(prefix + "qkv",
                        normed(hidden[p], tensors_.at(prefix + "attention_norm"), 0, shape_.width));
      if (shape_.qkv_bias) {
        for (std::size_t i = 0; i < qkv.size(); ++i) qkv[i] += tensors_.at(prefix + "qkv_bias")[i];
      }
      parts.emplace_back();
      for (int head = 0; head < heads; ++head)
        parts.back().push_back(head_of(prefix, qkv, head, int(p)));
    }
    for (std::size_t p = 0; p < hidden.size(); ++p) {
      Row mixed;
      for (int head = 0; head < shape_.query_heads; ++head) {
        const Row out = attend_head(parts, p, head);
        mixed.insert(mixed.end(), out.begin(), out.end());
      }
      const Row out = product(prefix + "attention_out", mixed);
      for (int i = 0; i < shape_.width; ++i) hidden[p][i] += out[i];
    }
  }

  Row attend_head(const std::vector<std::vector<Row>>& parts, std::size_t position,
                  int head) const {
    const int key_head = shape_.query_heads + head / (shape_.query_heads / shape_.kv_heads);
    Row weights;
    for (std::size_t k = 0; k <= position; ++k) {
      double dot = 0.0;
      for (int i = 0; i < shape_.head_width; ++i)
        dot += parts[position][head][i] * parts[k][key_head][i];
      weights.push_back(dot / std::sqrt(double(shape_.head_width)));
    }
    const double top = *std::max_element(weights.begin(), weights.end());
    double sum = 0.0;
    for (double& weight : weights) sum += weight = std::exp(weight - top);
    Row out(shape_.head_width, 0.0);
    for (std::size_t k = 0; k <= position; ++k) {
      const Row& value = parts[k][key_head + shape_.kv_heads];
      for (int i = 0; i < shape_.head_width; ++i) out[i] += weights[k] / sum * value[i];
    }
    return out;
  }

  void feed_forward(const std::string& prefix, Row& hidden) const {
    const Row both =
        product(prefix + "gate_up",
                normed(hidden, tensors_.at(prefix + "feed_forward_norm"), 0, shape_.width));
    Row gated(shape_.feed_forward_width);
    for (int i = 0; i < shape_.feed_forward_width; ++i) {
      gated[i] = both[i] / (1.0 + std::exp(-both[i])) * both[shape_.feed_forward_width + i];
    }
    const Row out = product(prefix + "down", gated);
    for (int i = 0; i < shape_.width; ++i) hidden[i] += out[i];
  }

  const DecoderShape shape_;
  std::map<std::string, std::vector<Bf16>> tensors_;
};

}  // namespace spillway::gpu_test
