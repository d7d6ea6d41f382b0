// Sequences of random lengths over randomly dealt KV pages, and attention over them in double
// precision.
#pragma once

#include "backends/local/kernels/attention_kernels.h"
#include "tests/gpu/device_array.h"

#include <algorithm>
#include <numeric>

namespace spillway::gpu_test {

struct AttentionShape {
  int q_heads = 0;
  int kv_heads = 0;
  int width = 0;
  int window = 0;  // Keys that a query sees at most, the last ones; 0: all.
  double score_cap = 0.0;
  double scale() const { return 1.0 / std::sqrt(double(width)); }
  double score(double dot) const {
    return score_cap > 0.0 ? score_cap * std::tanh(dot * scale() / score_cap) : dot * scale();
  }
};

// Every sequence owns pages for its length, dealt at random; slots that hold no key are NaN.
class PagedCache {
 public:
  PagedCache(const AttentionShape& shape, std::vector<int> lengths)
      : shape_(shape), lengths_(std::move(lengths)) {
    int pages = 3;  // Some belong to nobody.
    for (const int length : lengths_) {
      page_stride = std::max(page_stride, pages_of(length) + 1);
      pages += pages_of(length);
    }
    std::vector<int> order(pages);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), generator());
    table.assign(lengths_.size() * page_stride,
                 1 << 30);  // An entry that must not be used would fault.
    const std::size_t elements =
        std::size_t(pages) * shape.kv_heads * kernels::kPageTokens * shape.width;
    keys.assign(elements, not_a_number());
    values.assign(elements, not_a_number());
    int next = 0;
    for (std::size_t s = 0; s < lengths_.size(); ++s) {
      for (int p = 0; p < pages_of(lengths_[s]); ++p) table[s * page_stride + p] = order[next++];
    }
  }

  void fill() {
    for (std::size_t s = 0; s < lengths_.size(); ++s) {
      for (int key = 0; key < lengths_[s]; ++key) fill_key(static_cast<int>(s), key);
    }
  }

  // First element of a key's row for one kv head, in keys as in values.
  std::size_t at(int sequence, int key, int kv_head) const {
    const auto page = std::size_t(table[sequence * page_stride + key / kernels::kPageTokens]);
    return ((page * shape_.kv_heads + kv_head) * kernels::kPageTokens +
            key % kernels::kPageTokens) *
           shape_.width;
  }

  // Softmax(q · K) · V over the first `count` keys of a sequence, as far as the window holds them.
  std::vector<double> attend(const Bf16* q, int sequence, int head, int count) const {
    return attend(
        q, sequence, head, count, [this](std::size_t i) { return double(keys[i]); },
        [this](std::size_t i) { return double(values[i]); });
  }

  // The same where keys and values are what these say of an element.
  template <class Key, class Value>
  std::vector<double> attend(const Bf16* q, int sequence, int head, int count, Key key_of,
                             Value value_of) const {
    const int kv_head = head / (shape_.q_heads / shape_.kv_heads);
    std::vector<double> scores(count, -INFINITY);
    const int first = shape_.window > 0 ? std::max(0, count - shape_.window) : 0;
    for (int key = first; key < count; ++key) {
      const std::size_t from = at(sequence, key, kv_head);
      double dot = 0.0;
      for (int i = 0; i < shape_.width; ++i) dot += double(q[i]) * key_of(from + i);
      scores[key] = shape_.score(dot);
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    double sum = 0.0;
    std::vector<double> out(shape_.width, 0.0);
    for (int key = first; key < count; ++key) {
      const double weight = std::exp(scores[key] - top);
      const std::size_t from = at(sequence, key, kv_head);
      for (int i = 0; i < shape_.width; ++i) out[i] += weight * value_of(from + i);
      sum += weight;
    }
    for (double& value : out) value /= sum;
    return out;
  }

  static Bf16 not_a_number() {
    Bf16 value;
    value.bits = 0xffff;
    return value;
  }

  std::vector<std::int32_t> table;
  std::vector<Bf16> keys;
  std::vector<Bf16> values;
  int page_stride = 1;

 private:
  static int pages_of(int length) {
    return (length + kernels::kPageTokens - 1) / kernels::kPageTokens;
  }
  void fill_key(int sequence, int key) {
    std::normal_distribution<float> normal;
    for (int head = 0; head < shape_.kv_heads; ++head) {
      const std::size_t from = at(sequence, key, head);
      for (int i = 0; i < shape_.width; ++i) {
        keys[from + i] = Bf16(normal(generator()));
        values[from + i] = Bf16(normal(generator()));
      }
    }
  }

  const AttentionShape shape_;
  const std::vector<int> lengths_;
};

// All but where things lie.
inline kernels::DecodeAttention decode_args(const AttentionShape& shape, int page_stride, int rows,
                                            int splits) {
  kernels::DecodeAttention args = {};
  args.page_stride = page_stride;
  args.rows = rows;
  args.q_heads = shape.q_heads;
  args.kv_heads = shape.kv_heads;
  args.head_width = shape.width;
  args.splits = splits;
  args.scale = float(shape.scale());
  args.norm_epsilon = 1e-6f;
  args.window = shape.window;
  args.score_cap = float(shape.score_cap);
  return args;
}

}  // namespace spillway::gpu_test
