#include "backends/local/loader/folder_config_internal.h"
#include "backends/local/loader/folder_rope_internal.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace spillway::loader {
namespace {

constexpr std::int64_t kLayersMax = 4'096;

struct Architecture {
  std::string_view model_type;
  std::string_view name;  // GGUF's
  std::string_view activation;
  std::string_view unsaid;  // What keys mean that a config leaves out, as transformers has it.
};

constexpr std::string_view kUsual = R"({})";
constexpr std::string_view kMistral = R"({"sliding_window": 4096})";
constexpr std::string_view kQwen = R"({"use_sliding_window": false})";
constexpr std::string_view kQwen3 = R"({"use_sliding_window": false, "head_dim": 128})";
constexpr std::string_view kGemma2 = R"({
  "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
  "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
  "max_position_embeddings": 8192, "tie_word_embeddings": true})";
constexpr std::string_view kGemma3 = R"({
  "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
  "query_pre_attn_scalar": 256, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
  "max_position_embeddings": 131072, "tie_word_embeddings": true})";

constexpr std::array kArchitectures = {
    Architecture{"llama", "llama", "silu", kUsual},
    Architecture{"mistral", "llama", "silu", kMistral},
    Architecture{"qwen2", "qwen2", "silu", kQwen},
    Architecture{"qwen3", "qwen3", "silu", kQwen3},
    Architecture{"qwen3_moe", "qwen3moe", "silu", kQwen},
    Architecture{"gemma2", "gemma2", "gelu_pytorch_tanh", kGemma2},
    Architecture{"gemma3", "gemma3", "gelu_pytorch_tanh", kGemma3},
    Architecture{"gemma3_text", "gemma3", "gelu_pytorch_tanh", kGemma3},
    Architecture{"deepseek_v2", "deepseek2", "silu", kUsual},
    Architecture{"deepseek_v3", "deepseek2", "silu", kUsual},
};

// Keys that only change their names, all below the architecture's prefix.
constexpr std::array<std::pair<std::string_view, std::string_view>, 17> kIntegers = {{
    {"num_hidden_layers", "block_count"},
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"max_position_embeddings", "context_length"},
    {"kv_lora_rank", "attention.kv_lora_rank"},
    {"q_lora_rank", "attention.q_lora_rank"},
    {"v_head_dim", "attention.value_length_mla"},
    {"query_pre_attn_scalar", "attention.score_width"},
    {"num_experts", "expert_count"},
    {"num_local_experts", "expert_count"},
    {"n_routed_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"n_shared_experts", "expert_shared_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"first_k_dense_replace", "leading_dense_block_count"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNumbers = {{
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"routed_scaling_factor", "expert_weights_scale"},
}};

class ConfigReader {
 public:
  ConfigReader(const Json& config, const Architecture& architecture)
      : config_(Json::parse(architecture.unsaid)),
        architecture_(architecture),
        prefix_(std::string(architecture.name) + ".") {
    config_.update(config);
    if (!config_.contains("rms_norm_eps")) config_["rms_norm_eps"] = 1e-6;
  }

  Result<Metadata> read() {
    out_.add_text("general.architecture", architecture_.name);
    for (const auto& [theirs, ours] : kIntegers) {
      if (const auto value = integer(theirs)) out_.add_integer(prefix_ + std::string(ours), *value);
    }
    for (const auto& [theirs, ours] : kNumbers) {
      if (const auto value = number(theirs)) out_.add_number(prefix_ + std::string(ours), *value);
    }
    read_heads();
    read_windows();
    read_experts();
    check_activation();
    if (problem_) return *problem_;
    const auto rope = add_rope(config_, prefix_, out_);
    if (!rope) return rope.error();
    return std::move(out_);
  }

 private:
  bool is_deepseek() const { return architecture_.name == "deepseek2"; }

  // DeepSeek's files speak of a head's key with its rotated part.
  void read_heads() {
    if (!is_deepseek()) {
      if (const auto width = integer("head_dim")) add("attention.key_length", *width);
      return;
    }
    const auto rotated = integer("qk_rope_head_dim").value_or(0);
    add("rope.dimension_count", rotated);
    add("attention.key_length_mla", rotated + integer("qk_nope_head_dim").value_or(0));
  }

  // Which layers see but the last few positions.
  void read_windows() {
    const auto window = integer("sliding_window");
    const auto layers = integer("num_hidden_layers").value_or(0);
    if (!window || !flag("use_sliding_window", true) || layers < 1 || layers > kLayersMax) return;
    std::vector<std::int64_t> windowed(static_cast<std::size_t>(layers), 0);
    const Json& types = at_or_null(config_, "layer_types");
    for (std::size_t i = 0; i < windowed.size(); ++i) {
      if (types.is_array()) {
        windowed[i] = i < types.size() && types[i] == "sliding_attention" ? 1 : 0;
      } else {
        windowed[i] = is_windowed(static_cast<std::int64_t>(i)) ? 1 : 0;
      }
    }
    if (std::ranges::count(windowed, 1) == 0) return;
    add("attention.sliding_window", *window);
    out_.add_integers(prefix_ + "attention.sliding_window_pattern", windowed);
  }

  // Where a config does not name each layer's kind.
  bool is_windowed(std::int64_t layer) {
    const std::string_view type = architecture_.model_type;
    if (type == "gemma2") return layer % 2 == 0;
    if (type.starts_with("gemma3")) {
      return (layer + 1) %
                 std::max<std::int64_t>(1, integer("sliding_window_pattern").value_or(6)) !=
             0;
    }
    if (type == "mistral") return true;
    return type.starts_with("qwen") && layer >= integer("max_window_layers").value_or(0);
  }

  void read_experts() {
    if (architecture_.name == "qwen3moe") {
      const bool all = integer("decoder_sparse_step").value_or(1) == 1 &&
                       (at_or_null(config_, "mlp_only_layers").empty());
      if (!all)
        wrong("decoder_sparse_step", "or mlp_only_layers: layers without experts among those with");
      out_.add_flag(prefix_ + "expert_weights_norm", flag("norm_topk_prob", false));
    }
    if (!is_deepseek()) return;
    const bool third = architecture_.model_type == "deepseek_v3";
    const Json& method = at_or_null(config_, "topk_method");
    const bool grouped = third || method == "group_limited_greedy";
    if (grouped) {
      add("expert_group_count", integer("n_group").value_or(1));
      add("expert_group_used_count", integer("topk_group").value_or(1));
    }
    add("expert_gating_func", third ? 2 : 1);
    // The second's own code never normalises.
    out_.add_flag(prefix_ + "expert_weights_norm", third && flag("norm_topk_prob", true));
  }

  void check_activation() {
    const Json& older = at_or_null(config_, "hidden_act");
    const Json& newer = at_or_null(config_, "hidden_activation");
    const Json& given = newer.is_null() ? older : newer;
    if (given.is_null() || given == architecture_.activation) return;
    wrong(newer.is_null() ? "hidden_act" : "hidden_activation",
          "is " + given.dump().substr(0, 40) + ": " + std::string(architecture_.activation) +
              " is supported");
  }

  void add(const char* key, std::int64_t value) { out_.add_integer(prefix_ + key, value); }

  std::optional<std::int64_t> integer(std::string_view key) {
    const Json& value = at_or_null(config_, key);
    if (value.is_null()) return std::nullopt;
    if (value.is_number_integer() && value <= std::int64_t{1} << 40)
      return value.get<std::int64_t>();
    wrong(key, "is " + value.dump().substr(0, 40) + ", not a whole number in range");
    return std::nullopt;
  }

  std::optional<double> number(std::string_view key) {
    const Json& value = at_or_null(config_, key);
    if (value.is_null()) return std::nullopt;
    if (value.is_number()) return value.get<double>();
    wrong(key, "is " + value.dump().substr(0, 40) + ", not a number");
    return std::nullopt;
  }

  bool flag(std::string_view key, bool fallback) {
    const Json& value = at_or_null(config_, key);
    if (value.is_null()) return fallback;
    if (value.is_boolean()) return value.get<bool>();
    wrong(key, "is " + value.dump().substr(0, 40) + ", not true or false");
    return fallback;
  }

  void wrong(std::string_view key, const std::string& what) {
    if (!problem_) problem_ = Error{Errc::internal, std::string(key) + " " + what};
  }

  Json config_;
  const Architecture& architecture_;
  const std::string prefix_;
  Metadata out_;
  std::optional<Error> problem_;
};

std::string known_types() {
  std::string names;
  for (const Architecture& one : kArchitectures)
    names += (names.empty() ? "" : ", ") + std::string(one.model_type);
  return names;
}

}  // namespace

const Json& text_config_of(const Json& config) {
  const Json& inner = at_or_null(config, "text_config");
  return inner.is_object() ? inner : config;
}

Result<Metadata> metadata_of(const Json& config) {
  const Json& text = text_config_of(config);
  const Json& type = at_or_null(text, "model_type");
  if (!type.is_string()) return Error{Errc::internal, "model_type is missing"};
  const auto known = std::ranges::find(kArchitectures, type.get_ref<const std::string&>(),
                                       &Architecture::model_type);
  if (known == kArchitectures.end()) {
    return Error{Errc::internal, "model_type " + type.get<std::string>().substr(0, 64) +
                                     " is not supported: " + known_types() + " are"};
  }
  return ConfigReader(text, *known).read();
}

}  // namespace spillway::loader
