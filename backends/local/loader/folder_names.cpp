#include "backends/local/loader/folder_names_internal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace spillway::loader {
namespace {

using Names = std::pair<std::string_view, std::string_view>;

constexpr std::array kOutside = {
    Names{"model.embed_tokens.weight", "token_embd.weight"},
    Names{"model.norm.weight", "output_norm.weight"},
    Names{"lm_head.weight", "output.weight"},
};

// What stands before ".weight" or ".bias" in a layer.
constexpr std::array kOfLayer = {
    Names{"input_layernorm", "attn_norm"},
    Names{"self_attn.q_proj", "attn_q"},
    Names{"self_attn.k_proj", "attn_k"},
    Names{"self_attn.v_proj", "attn_v"},
    Names{"self_attn.o_proj", "attn_output"},
    Names{"self_attn.q_norm", "attn_q_norm"},
    Names{"self_attn.k_norm", "attn_k_norm"},
    Names{"self_attn.q_a_proj", "attn_q_a"},
    Names{"self_attn.q_a_layernorm", "attn_q_a_norm"},
    Names{"self_attn.q_b_proj", "attn_q_b"},
    Names{"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    Names{"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    Names{"self_attn.kv_b_proj", "attn_kv_b"},
    Names{"post_attention_layernorm", "ffn_norm"},
    Names{"pre_feedforward_layernorm", "ffn_norm"},
    Names{"post_feedforward_layernorm", "post_ffw_norm"},
    Names{"mlp.gate_proj", "ffn_gate"},
    Names{"mlp.up_proj", "ffn_up"},
    Names{"mlp.down_proj", "ffn_down"},
    Names{"mlp.gate", "ffn_gate_inp"},
    Names{"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    Names{"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    Names{"mlp.shared_experts.down_proj", "ffn_down_shexp"},
};
constexpr std::array kOfExpert = {
    Names{"gate_proj.weight", "ffn_gate_exps.weight"},
    Names{"up_proj.weight", "ffn_up_exps.weight"},
    Names{"down_proj.weight", "ffn_down_exps.weight"},
};

// What models that also see have beside their decoder.
constexpr std::array<std::string_view, 4> kOfOtherSenses = {
    "vision_tower.", "multi_modal_projector.", "model.vision_tower.",
    "model.multi_modal_projector."};

template <class Table>
std::string_view found_in(const Table& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Names::first);
  return found == table.end() ? std::string_view() : found->second;
}

bool drop(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// The number that the text begins with, up to its dot, which goes as well.
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (failure != std::errc() || number < 0 || length == text.size() || *end != '.')
    return std::nullopt;
  text.remove_prefix(length + 1);
  return number;
}

// The name inside a layer, without what it begins with.
std::string inside(std::string_view rest, bool post_norms) {
  if (rest == "mlp.gate.e_score_correction_bias") return "exp_probs_b.bias";
  const std::size_t dot = rest.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view kind = rest.substr(dot);
  if (kind != ".weight" && kind != ".bias") return {};
  const std::string_view stem = rest.substr(0, dot);
  if (post_norms && stem == "post_attention_layernorm") return "post_attention_norm.weight";
  const std::string_view known = found_in(kOfLayer, stem);
  return known.empty() ? std::string() : std::string(known) + std::string(kind);
}

std::optional<TensorPlace> place_in_layer(std::string_view rest, int layer, bool post_norms) {
  TensorPlace place;
  place.layer = layer;
  if (rest.ends_with("rotary_emb.inv_freq")) return place;
  std::string name;
  if (drop(rest, "mlp.experts.")) {
    const auto expert = take_number(rest);
    if (!expert) return std::nullopt;
    place.expert = *expert;
    name = found_in(kOfExpert, rest);
  } else {
    name = inside(rest, post_norms);
  }
  if (name.empty()) return std::nullopt;
  place.name = "blk." + std::to_string(layer) + "." + name;
  return place;
}

// Models that were saved without a head have no prefix, either.
std::string with_prefix(std::string_view name) {
  constexpr std::array<std::string_view, 3> kBare = {"layers.", "embed_tokens.", "norm."};
  const bool is_bare =
      std::ranges::any_of(kBare, [&](std::string_view one) { return name.starts_with(one); });
  return (is_bare ? "model." : "") + std::string(name);
}

}  // namespace

std::optional<TensorPlace> place_of(std::string_view name, bool post_norms) {
  for (const std::string_view prefix : kOfOtherSenses) {
    if (name.starts_with(prefix)) return TensorPlace{};
  }
  std::string plain = with_prefix(name);
  if (drop(name, "model.language_model.")) plain = "model." + std::string(name);
  if (drop(name, "language_model.")) plain = name;
  if (const std::string_view known = found_in(kOutside, plain); !known.empty())
    return TensorPlace{std::string(known)};
  std::string_view rest = plain;
  if (!drop(rest, "model.layers.")) return std::nullopt;
  const auto layer = take_number(rest);
  if (!layer) return std::nullopt;
  return place_in_layer(rest, *layer, post_norms);
}

}  // namespace spillway::loader
