#include "backends/local/cuda/decoder_shape.h"

#include "backends/local/kernels/expert_kernels.h"
#include "backends/local/kernels/latent_kernels.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace spillway::local::cuda {

namespace {

constexpr int kStepOfWidths = 32;  // The skinny linear takes so many of k at a time…
constexpr int kStepOfRows = 16;    // …and so many rows.
constexpr int kGroupedStepOfWidths = 64;
constexpr int kGroupedStepOfRows = 128;
constexpr int kWidthMax = 16'384;  // Of a row that is normed.

Error refused(const std::string& what, int value, const std::string& taken) {
  return {Errc::invalid_request,
          "model file: " + what + " is " + std::to_string(value) + ", and executor: cuda takes " +
              taken + "; executor: torch may run it",
          "", std::nullopt};
}

// What latent_kernels.h and the grouped products of expert_kernels.h require.
std::optional<Error> problem_of_latent(const LatentAttention& latent) {
  if (!latent.used()) return std::nullopt;
  if (latent.query_width > 0) {
    return refused("the rank of queries", latent.query_width, "queries of the residual stream");
  }
  if (latent.width != kernels::kLatentWidth) {
    return refused("the latent width", latent.width, "512");
  }
  if (latent.rope_width != kernels::kLatentRope) {
    return refused("the rotated width", latent.rope_width, "64");
  }
  if (latent.key_width % kGroupedStepOfWidths != 0) {
    return refused("the width of keys", latent.key_width, "multiples of 64");
  }
  if (latent.value_width % kGroupedStepOfRows != 0) {
    return refused("the width of values", latent.value_width, "multiples of 128");
  }
  return std::nullopt;
}

std::optional<Error> problem_of_experts(const Experts& experts, int width) {
  if (!experts.used()) return std::nullopt;
  if (experts.count > kernels::kRoutedExpertsMax || experts.count % kStepOfRows != 0) {
    return refused("the number of experts", experts.count, "multiples of 16 up to 256");
  }
  if (experts.chosen + experts.shared > kernels::kSlotsMax) {
    return refused("the number of experts of a token", experts.chosen + experts.shared,
                   "at most 32");
  }
  if (experts.groups > kernels::kExpertGroupsMax) {
    return refused("the number of groups", experts.groups, "at most 32");
  }
  if (experts.width % kGroupedStepOfWidths != 0) {
    return refused("the width of experts", experts.width, "multiples of 64");
  }
  if (width % kGroupedStepOfRows != 0) return refused("the width", width, "multiples of 128");
  return std::nullopt;
}

// What other decoders do that this one does not.
std::optional<Error> problem_of_kind(const ArchSpec& spec) {
  if (!spec.attention_out_bias) return std::nullopt;
  return Error{Errc::invalid_request,
               "model file: executor: cuda runs no " + spec.name +
                   " with a bias on what attention yields; executor: torch does",
               "", std::nullopt};
}

// What the kernels of kernels.h require.
std::optional<Error> problem_of(const ArchSpec& spec) {
  if (auto problem = problem_of_kind(spec)) return problem;
  if (auto problem = problem_of_latent(spec.latent)) return problem;
  if (auto problem = problem_of_experts(spec.experts, spec.width)) return problem;
  const bool known_width =
      spec.head_width == 64 || spec.head_width == 128 || spec.head_width == 256;
  if (!spec.latent.used() && !known_width) {
    return refused("the width of a head", spec.head_width, "64, 128 or 256");
  }
  if (spec.width % kStepOfWidths != 0 || spec.width > kWidthMax) {
    return refused("the width", spec.width, "multiples of 32 up to 16384");
  }
  if (spec.feed_forward_width % kStepOfWidths != 0) {
    return refused("the feed forward width", spec.feed_forward_width, "multiples of 32");
  }
  if (spec.vocabulary % kStepOfRows != 0) {
    return refused("the vocabulary", spec.vocabulary, "multiples of 16");
  }
  return std::nullopt;
}

}  // namespace

Result<DecoderShape> shape_of(const ArchSpec& spec, int context_max) {
  if (auto problem = problem_of(spec)) return *problem;
  DecoderShape shape;
  shape.layers = spec.layers;
  shape.width = spec.width;
  shape.feed_forward_width = spec.feed_forward_width;
  shape.query_heads = spec.query_heads;
  shape.kv_heads = spec.kv_heads;
  shape.head_width = spec.head_width;
  shape.vocabulary = spec.vocabulary;
  shape.context_max = std::min(spec.context_max, context_max);
  shape.norm_epsilon = static_cast<float>(spec.norm_epsilon);
  shape.qkv_bias = spec.qkv_bias;
  shape.head_norms = spec.head_norms;
  shape.head_is_embedding = spec.head_is_embedding;
  shape.inverse_frequencies = spec.inverse_frequencies;
  shape.rope_gain = spec.rope_gain;
  shape.score_width = spec.score_width;
  shape.windows = spec.windows;
  shape.gemma = spec.gemma;
  shape.latent = spec.latent;
  shape.experts = spec.experts;
  return shape;
}

Extent dealt(int total, int unit, Share share) {
  const std::int64_t units = total / unit;
  const auto before = [&](int rank) {
    return rank == share.ranks ? total : static_cast<int>(units * rank / share.ranks) * unit;
  };
  return {before(share.rank), before(share.rank + 1) - before(share.rank)};
}

int DecoderShape::qkv_width() const {
  if (!latent.used()) return (query_heads + 2 * kv_heads) * head_width;
  return query_heads * (latent.key_width + latent.rope_width) + latent.line_width();
}

int DecoderShape::kv_token_width() const {
  return latent.used() ? latent.line_width() : 2 * kv_heads * head_width;
}

Extent DecoderShape::head_rows() const { return dealt(vocabulary, kDealtUnit, share); }

std::vector<double> plain_frequencies(int head_width, double base) {
  std::vector<double> frequencies(static_cast<std::size_t>(head_width / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / head_width);
  }
  return frequencies;
}

bool is_matrix_of_layer(const RoomShape& room) {
  const bool stays = room.name.ends_with(".router") || room.name.ends_with(".key_up") ||
                     room.name.ends_with(".value_up");
  return room.name.starts_with("layers.") && room.rows > 1 && room.columns > 1 && !stays;
}

namespace {

using Rooms = std::vector<RoomShape>;

void add_attention(const DecoderShape& shape, const std::string& prefix, Rooms& rooms) {
  const LatentAttention& latent = shape.latent;
  rooms.push_back({prefix + "attention_norm", 1, shape.width});
  rooms.push_back({prefix + "qkv", shape.qkv_width(), shape.width});
  if (shape.qkv_bias) rooms.push_back({prefix + "qkv_bias", shape.qkv_width(), 1});
  if (shape.head_norms) {
    rooms.push_back({prefix + "q_norm", 1, shape.head_width});
    rooms.push_back({prefix + "k_norm", 1, shape.head_width});
  }
  if (latent.used()) {
    const std::int64_t heads = shape.query_heads;
    rooms.push_back({prefix + "latent_norm", 1, latent.width});
    rooms.push_back({prefix + "key_up", heads * latent.width, latent.key_width});
    rooms.push_back({prefix + "value_up", heads * latent.value_width, latent.width});
  }
  rooms.push_back({prefix + "attention_out", shape.width, shape.query_width()});
  if (shape.gemma.used) rooms.push_back({prefix + "post_attention_norm", 1, shape.width});
}

void add_feed_forward(const DecoderShape& shape, int layer, const std::string& prefix,
                      Rooms& rooms) {
  rooms.push_back({prefix + "feed_forward_norm", 1, shape.width});
  if (!shape.has_experts(layer)) {
    rooms.push_back({prefix + "gate_up", 2 * shape.feed_forward_width, shape.width});
    rooms.push_back({prefix + "down", shape.width, shape.feed_forward_width});
    if (shape.gemma.used) rooms.push_back({prefix + "post_feed_forward_norm", 1, shape.width});
    return;
  }
  const Experts& experts = shape.experts;
  const std::int64_t all = experts.count + experts.shared;
  rooms.push_back({prefix + "router", experts.count, shape.width});
  if (experts.biased) rooms.push_back({prefix + "router_bias", experts.count, 1});
  rooms.push_back({prefix + "expert_gate_up", all * 2 * experts.width, shape.width});
  rooms.push_back({prefix + "expert_down", all * shape.width, experts.width});
}

}  // namespace

std::vector<RoomShape> rooms_of(const DecoderShape& shape) {
  std::vector<RoomShape> rooms;
  rooms.push_back({"embedding", shape.vocabulary, shape.width});
  for (int i = 0; i < shape.layers; ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    add_attention(shape, prefix, rooms);
    add_feed_forward(shape, i, prefix, rooms);
  }
  rooms.push_back({"last_norm", 1, shape.width});
  if (!shape.head_is_embedding) rooms.push_back({"head", shape.head_rows().count, shape.width});
  return rooms;
}

}  // namespace spillway::local::cuda
