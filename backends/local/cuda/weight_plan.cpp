#include "backends/local/cuda/weight_plan.h"

#include <utility>

namespace spillway::local::cuda {

namespace {

WeightSource norm(const ArchSpec& spec, const std::string& tensor) {
  WeightSource source{tensor, 1, spec.width};
  source.less_one = spec.gemma.norms_less_one;
  return source;
}

// Where each room of a layer comes from.
class LayerPlan {
 public:
  LayerPlan(const ArchSpec& spec, int index)
      : spec_(spec),
        index_(index),
        theirs_("blk." + std::to_string(index) + "."),
        ours_("layers." + std::to_string(index) + ".") {}

  std::vector<PlannedRoom> rooms() const {
    std::vector<PlannedRoom> rooms;
    add_attention(rooms);
    rooms.push_back({ours_ + "feed_forward_norm", {norm(spec_, theirs_ + "ffn_norm.weight")}});
    if (spec_.experts.used() && index_ >= spec_.experts.dense_layers) {
      add_experts(rooms);
    } else {
      add_dense(rooms);
    }
    return rooms;
  }

 private:
  WeightSource whole(const std::string& tensor, std::int64_t rows, std::int64_t columns) const {
    return {theirs_ + tensor, rows, columns};
  }

  void add_attention(std::vector<PlannedRoom>& rooms) const {
    const std::int64_t width = spec_.width;
    const std::int64_t query_width = std::int64_t{spec_.query_heads} * spec_.head_width;
    rooms.push_back({ours_ + "attention_norm", {norm(spec_, theirs_ + "attn_norm.weight")}});
    if (spec_.latent.used()) {
      add_latent(rooms);
    } else {
      rooms.push_back({ours_ + "qkv", qkv(".weight", width)});
    }
    if (spec_.qkv_bias) rooms.push_back({ours_ + "qkv_bias", qkv(".bias", 1)});
    if (spec_.head_norms) {
      rooms.push_back({ours_ + "q_norm", {head_norm("attn_q_norm.weight")}});
      rooms.push_back({ours_ + "k_norm", {head_norm("attn_k_norm.weight")}});
    }
    rooms.push_back({ours_ + "attention_out", {whole("attn_output.weight", width, query_width)}});
    if (!spec_.gemma.used) return;
    rooms.push_back(
        {ours_ + "post_attention_norm", {norm(spec_, theirs_ + "post_attention_norm.weight")}});
  }

  void add_latent(std::vector<PlannedRoom>& rooms) const {
    const LatentAttention& latent = spec_.latent;
    const std::int64_t heads = spec_.query_heads;
    rooms.push_back(
        {ours_ + "qkv",
         {whole("attn_q.weight", heads * (latent.key_width + latent.rope_width), spec_.width),
          whole("attn_kv_a_mqa.weight", latent.line_width(), spec_.width)}});
    rooms.push_back({ours_ + "latent_norm", {whole("attn_kv_a_norm.weight", 1, latent.width)}});
    rooms.push_back(
        {ours_ + "key_up", {whole("attn_k_b.weight", heads * latent.width, latent.key_width)}});
    rooms.push_back(
        {ours_ + "value_up", {whole("attn_v_b.weight", heads * latent.value_width, latent.width)}});
  }

  void add_dense(std::vector<PlannedRoom>& rooms) const {
    const std::int64_t width = spec_.width;
    const std::int64_t inner = spec_.feed_forward_width;
    rooms.push_back(
        {ours_ + "gate_up",
         {whole("ffn_gate.weight", inner, width), whole("ffn_up.weight", inner, width)}});
    rooms.push_back({ours_ + "down", {whole("ffn_down.weight", width, inner)}});
    if (!spec_.gemma.used) return;
    rooms.push_back(
        {ours_ + "post_feed_forward_norm", {norm(spec_, theirs_ + "post_ffw_norm.weight")}});
  }

  // Of each expert its gate, then its up. Those that are shared are one feed forward in the file,
  // which is cut up.
  void add_experts(std::vector<PlannedRoom>& rooms) const {
    const Experts& experts = spec_.experts;
    const std::int64_t width = spec_.width;
    const std::int64_t inner = experts.width;
    PlannedRoom gate_up{ours_ + "expert_gate_up", {}};
    PlannedRoom down{ours_ + "expert_down", {}};
    const auto add_rows = [&](const std::string& tensor, int expert, int of) {
      WeightSource rows = whole(tensor, inner, width);
      rows.first_row = expert * inner;
      rows.rows_in_all = of * inner;
      gate_up.sources.push_back(std::move(rows));
    };
    for (int i = 0; i < experts.count; ++i) {
      add_rows("ffn_gate_exps.weight", i, experts.count);
      add_rows("ffn_up_exps.weight", i, experts.count);
    }
    down.sources.push_back(whole("ffn_down_exps.weight", experts.count * width, inner));
    for (int i = 0; i < experts.shared; ++i) {
      add_rows("ffn_gate_shexp.weight", i, experts.shared);
      add_rows("ffn_up_shexp.weight", i, experts.shared);
      WeightSource columns = whole("ffn_down_shexp.weight", width, inner);
      columns.first_column = i * inner;
      columns.columns_in_all = experts.shared * inner;
      down.sources.push_back(std::move(columns));
    }
    rooms.push_back({ours_ + "router", {whole("ffn_gate_inp.weight", experts.count, width)}});
    if (experts.biased) {
      rooms.push_back({ours_ + "router_bias", {whole("exp_probs_b.bias", experts.count, 1)}});
    }
    rooms.push_back(std::move(gate_up));
    rooms.push_back(std::move(down));
  }

  std::vector<WeightSource> qkv(const std::string& kind, std::int64_t columns) const {
    WeightSource values{theirs_ + "attn_v" + kind, std::int64_t{spec_.kv_heads} * spec_.head_width,
                        columns};
    return {heads("attn_q" + kind, spec_.query_heads, columns),
            heads("attn_k" + kind, spec_.kv_heads, columns), std::move(values)};
  }

  // Rows that are rotated.
  WeightSource heads(const std::string& tensor, int count, std::int64_t columns) const {
    WeightSource source{theirs_ + tensor, std::int64_t{count} * spec_.head_width, columns};
    if (spec_.interleaved_rope_rows) source.row_order = halves_from_pairs(count, spec_.head_width);
    return source;
  }

  WeightSource head_norm(const std::string& tensor) const {
    WeightSource source = heads(tensor, 1, 1);
    source.less_one = spec_.gemma.norms_less_one;
    return source;
  }

  const ArchSpec& spec_;
  const int index_;
  const std::string theirs_;
  const std::string ours_;
};

}  // namespace

std::vector<PlannedRoom> weight_plan(const ArchSpec& spec) {
  std::vector<PlannedRoom> rooms;
  rooms.push_back({"embedding", {{"token_embd.weight", spec.vocabulary, spec.width}}});
  for (int i = 0; i < spec.layers; ++i) {
    for (PlannedRoom& room : LayerPlan(spec, i).rooms()) rooms.push_back(std::move(room));
  }
  rooms.push_back({"last_norm", {norm(spec, "output_norm.weight")}});
  if (!spec.head_is_embedding) {
    rooms.push_back({"head", {{"output.weight", spec.vocabulary, spec.width}}});
  }
  return rooms;
}

}  // namespace spillway::local::cuda
