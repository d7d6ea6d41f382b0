// A whole decoder in double precision, one sequence at a time, as the definition says: the oracle
// of the GPU's passes.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "tests/gpu/device_array.h"
#include "tests/gpu/gate_reference.h"

#include <algorithm>
#include <map>
#include <numeric>
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
    if (shape_.gemma.used) {
      for (Row& h : hidden) {
        for (double& value : h) value *= shape_.gemma.embedding_gain;
      }
    }
    for (int layer = 0; layer < shape_.layers; ++layer) {
      const std::string prefix = "layers." + std::to_string(layer) + ".";
      if (shape_.latent.used()) {
        attend_latent(prefix, hidden);
      } else {
        attend(prefix, layer, hidden);
      }
      for (Row& h : hidden) {
        shape_.has_experts(layer) ? mix_experts(prefix, h) : feed_forward(prefix, h);
      }
    }
    std::vector<double> all;
    for (const Row& h : hidden) {
      Row out = product("head", normed(h, tensors_.at("last_norm"), 0, shape_.width));
      for (double& logit : out) logit = capped(logit, shape_.gemma.logit_cap);
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  }

 private:
  using Row = std::vector<double>;

  static double capped(double x, double cap) { return cap > 0.0 ? cap * std::tanh(x / cap) : x; }

  // hidden += out, normed if the layer has a norm of that name.
  void add(const std::string& norm, Row out, Row& hidden) const {
    if (shape_.gemma.used) out = normed(out, tensors_.at(norm), 0, shape_.width);
    for (int i = 0; i < shape_.width; ++i) hidden[i] += out[i];
  }

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
  Row head_of(const std::string& prefix, int layer, const Row& qkv, int head, int position) const {
    const int width = shape_.head_width;
    const bool own = shape_.windows.holds(layer) && !shape_.windows.inverse_frequencies.empty();
    const auto& frequencies = own ? shape_.windows.inverse_frequencies : shape_.inverse_frequencies;
    Row out(qkv.begin() + head * width, qkv.begin() + (head + 1) * width);
    if (head >= shape_.query_heads + shape_.kv_heads) return out;
    if (shape_.head_norms) {
      out = normed(out, tensors_.at(prefix + (head < shape_.query_heads ? "q_norm" : "k_norm")), 0,
                   width);
    }
    for (int i = 0; i < width / 2; ++i) {
      const double angle = position * frequencies[i];
      const double a = out[i];
      const double b = out[i + width / 2];
      out[i] = shape_.rope_gain * (a * std::cos(angle) - b * std::sin(angle));
      out[i + width / 2] = shape_.rope_gain * (b * std::cos(angle) + a * std::sin(angle));
    }
    return out;
  }

  void attend(const std::string& prefix, int layer, std::vector<Row>& hidden) const {
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
        parts.back().push_back(head_of(prefix, layer, qkv, head, int(p)));
    }
    for (std::size_t p = 0; p < hidden.size(); ++p) {
      Row mixed;
      for (int head = 0; head < shape_.query_heads; ++head) {
        const Row out = attend_head(parts, layer, p, head);
        mixed.insert(mixed.end(), out.begin(), out.end());
      }
      add(prefix + "post_attention_norm", product(prefix + "attention_out", mixed), hidden[p]);
    }
  }

  Row attend_head(const std::vector<std::vector<Row>>& parts, int layer, std::size_t position,
                  int head) const {
    const int key_head = shape_.query_heads + head / (shape_.query_heads / shape_.kv_heads);
    const double width = shape_.score_width > 0.0 ? shape_.score_width : shape_.head_width;
    const bool windowed = shape_.windows.holds(layer) && int(position) >= shape_.windows.width;
    const std::size_t first = windowed ? position + 1 - shape_.windows.width : 0;
    const auto score = [&](double dot) {
      return capped(dot / std::sqrt(width), shape_.gemma.score_cap);
    };
    return weighted(
        parts[position][head], first, position, score,
        [&](std::size_t k) -> const Row& { return parts[k][key_head]; },
        [&](std::size_t k) -> const Row& { return parts[k][key_head + shape_.kv_heads]; });
  }

  // Values from one position up to another, each by softmax of its key's score.
  template <class Score, class Key, class Value>
  static Row weighted(const Row& query, std::size_t first, std::size_t position, Score score,
                      Key key, Value value) {
    Row weights;
    for (std::size_t k = first; k <= position; ++k) {
      weights.push_back(score(std::inner_product(query.begin(), query.end(), key(k).begin(), 0.0)));
    }
    const double top = *std::max_element(weights.begin(), weights.end());
    double sum = 0.0;
    for (double& weight : weights) sum += weight = std::exp(weight - top);
    Row out(value(0).size(), 0.0);
    for (std::size_t k = first; k <= position; ++k) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += weights[k - first] / sum * value(k)[i];
    }
    return out;
  }

  // Pairs (2i, 2i + 1) of what begins there.
  void rotate_pairs(Row& row, std::size_t begin, int position) const {
    for (std::size_t i = 0; i < shape_.inverse_frequencies.size(); ++i) {
      const double angle = position * shape_.inverse_frequencies[i];
      double& a = row[begin + 2 * i];
      double& b = row[begin + 2 * i + 1];
      const double turned = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = turned;
    }
  }

  // Keys and values of every head are made of each token's latent row.
  void attend_latent(const std::string& prefix, std::vector<Row>& hidden) const {
    const auto& latent = shape_.latent;
    const int head_width = latent.key_width + latent.rope_width;
    struct Token {
      std::vector<Row> queries, keys, values;
    };
    std::vector<Token> all(hidden.size());
    for (std::size_t p = 0; p < hidden.size(); ++p) {
      const Row row =
          product(prefix + "qkv",
                  normed(hidden[p], tensors_.at(prefix + "attention_norm"), 0, shape_.width));
      const int begin = shape_.query_heads * head_width;
      const Row c = normed(row, tensors_.at(prefix + "latent_norm"), begin, latent.width);
      Row shared(row.begin() + begin + latent.width, row.end());
      rotate_pairs(shared, 0, int(p));
      const Row values = product(prefix + "value_up", c);
      for (int head = 0; head < shape_.query_heads; ++head) {
        Row query(row.begin() + head * head_width, row.begin() + (head + 1) * head_width);
        rotate_pairs(query, latent.key_width, int(p));
        Row key = key_of(prefix, c, head);
        key.insert(key.end(), shared.begin(), shared.end());
        all[p].queries.push_back(std::move(query));
        all[p].keys.push_back(std::move(key));
        all[p].values.emplace_back(values.begin() + head * latent.value_width,
                                   values.begin() + (head + 1) * latent.value_width);
      }
    }
    const auto score = [&](double dot) {
      return dot * latent.score_gain / std::sqrt(double(head_width));
    };
    for (std::size_t p = 0; p < hidden.size(); ++p) {
      Row mixed;
      for (int head = 0; head < shape_.query_heads; ++head) {
        const Row out = weighted(
            all[p].queries[head], 0, p, score,
            [&](std::size_t k) -> const Row& { return all[k].keys[head]; },
            [&](std::size_t k) -> const Row& { return all[k].values[head]; });
        mixed.insert(mixed.end(), out.begin(), out.end());
      }
      const Row out = product(prefix + "attention_out", mixed);
      for (int i = 0; i < shape_.width; ++i) hidden[p][i] += out[i];
    }
  }

  Row key_of(const std::string& prefix, const Row& c, int head) const {
    const auto& up = tensors_.at(prefix + "key_up");
    const std::size_t width = shape_.latent.key_width;
    Row key(width, 0.0);
    for (std::size_t l = 0; l < c.size(); ++l) {
      for (std::size_t i = 0; i < width; ++i) {
        key[i] += double(up[(head * c.size() + l) * width + i]) * c[l];
      }
    }
    return key;
  }

  // How much each expert's answer weighs; 0 if it is not taken.
  Row expert_weights(const std::string& prefix, const Row& x) const {
    const auto& experts = shape_.experts;
    const int group_size = experts.count / experts.groups;
    Row scores = product(prefix + "router", x);
    double sum = 0.0;
    for (double& score : scores) {
      score = experts.sigmoid ? 1.0 / (1.0 + std::exp(-score)) : std::exp(score);
      sum += score;
    }
    Row choice = scores;
    for (int i = 0; i < experts.count; ++i) {
      if (!experts.sigmoid) choice[i] = scores[i] /= sum;
      if (experts.biased) choice[i] += tensors_.at(prefix + "router_bias")[i];
    }
    Row groups;
    for (int g = 0; g < experts.groups; ++g) {
      Row of(choice.begin() + g * group_size, choice.begin() + (g + 1) * group_size);
      std::sort(of.rbegin(), of.rend());
      groups.push_back(experts.biased ? of[0] + of[1] : of[0]);
    }
    Row ranked = groups;
    std::sort(ranked.rbegin(), ranked.rend());
    std::vector<int> eligible;
    for (int i = 0; i < experts.count; ++i) {
      if (groups[i / group_size] >= ranked[experts.groups_taken - 1]) eligible.push_back(i);
    }
    std::stable_sort(eligible.begin(), eligible.end(),
                     [&](int a, int b) { return choice[a] > choice[b]; });
    eligible.resize(experts.chosen);
    double chosen = 0.0;
    for (const int i : eligible) chosen += scores[i];
    Row weights(experts.count + experts.shared, 0.0);
    for (const int i : eligible) {
      weights[i] = scores[i] * experts.scale / (experts.normalised ? chosen : 1.0);
    }
    std::fill(weights.begin() + experts.count, weights.end(), 1.0);
    return weights;
  }

  // Rows of an expert's part of a room.
  Row expert_product(const std::string& room, int expert, const Row& x) const {
    const auto& matrix = tensors_.at(room);
    const int all = shape_.experts.count + shape_.experts.shared;
    Row out(matrix.size() / x.size() / all, 0.0);
    const std::size_t begin = expert * out.size() * x.size();
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (std::size_t j = 0; j < x.size(); ++j) {
        out[i] += double(matrix[begin + i * x.size() + j]) * x[j];
      }
    }
    return out;
  }

  void mix_experts(const std::string& prefix, Row& hidden) const {
    const Row x = normed(hidden, tensors_.at(prefix + "feed_forward_norm"), 0, shape_.width);
    const Row weights = expert_weights(prefix, x);
    for (std::size_t expert = 0; expert < weights.size(); ++expert) {
      if (weights[expert] == 0.0) continue;
      const Row both = expert_product(prefix + "expert_gate_up", int(expert), x);
      const Row out = expert_product(prefix + "expert_down", int(expert), gated(both));
      for (int i = 0; i < shape_.width; ++i) hidden[i] += weights[expert] * out[i];
    }
  }

  // silu, or Gemma's GELU, of the first half times the second.
  Row gated(const Row& both) const {
    const int gate = shape_.gemma.used ? kernels::kGelu : kernels::kSilu;
    Row out(both.size() / 2);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = gpu_test::gated(both[i], gate) * both[out.size() + i];
    }
    return out;
  }

  void feed_forward(const std::string& prefix, Row& hidden) const {
    const Row both =
        product(prefix + "gate_up",
                normed(hidden, tensors_.at(prefix + "feed_forward_norm"), 0, shape_.width));
    add(prefix + "post_feed_forward_norm", product(prefix + "down", gated(both)), hidden);
  }

  const DecoderShape shape_;
  std::map<std::string, std::vector<Bf16>> tensors_;
};

}  // namespace spillway::gpu_test
