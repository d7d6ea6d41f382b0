#include "backends/local/loader/folder_rope_internal.h"

#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kScalingNumbers = {{
    {"factor", "rope.scaling.factor"},
    {"low_freq_factor", "rope.scaling.low_freq_factor"},
    {"high_freq_factor", "rope.scaling.high_freq_factor"},
    {"beta_fast", "rope.scaling.yarn_beta_fast"},
    {"beta_slow", "rope.scaling.yarn_beta_slow"},
}};

// A number of a config's object; nothing where it says none.
std::optional<double> number(const Json& object, std::string_view key) {
  const Json& value = at_or_null(object, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

// The transformers library moved all of it into one object, of one kind of layer or of each.
struct RopeConfig {
  const Json& scaling;         // Of layers that see everything.
  std::optional<double> base;  // Theirs.
  std::optional<double> windowed_base;
};

RopeConfig rope_config_of(const Json& config) {
  const Json& all = at_or_null(config, "rope_parameters");
  const Json& full = at_or_null(all, "full_attention");
  if (full.is_object()) {
    return {full, number(full, "rope_theta"),
            number(at_or_null(all, "sliding_attention"), "rope_theta")};
  }
  if (all.is_object()) {
    const auto base = number(all, "rope_theta");
    return {all, base ? base : number(config, "rope_theta"),
            number(config, "rope_local_base_freq")};
  }
  return {at_or_null(config, "rope_scaling"), number(config, "rope_theta"),
          number(config, "rope_local_base_freq")};
}

// What yarn multiplies with, by the paper and DeepSeek's two refinements.
double yarn_gain(double factor, double multiplier) {
  return factor <= 1.0 ? 1.0 : 0.1 * multiplier * std::log(factor) + 1.0;
}

void add_yarn(const Json& scaling, const std::string& prefix, Metadata& out) {
  const double factor = number(scaling, "factor").value_or(1.0);
  const auto own = number(scaling, "mscale");
  const auto all = number(scaling, "mscale_all_dim");
  const auto given = number(scaling, "attention_factor");
  const bool both = own.value_or(0.0) != 0.0 && all.value_or(0.0) != 0.0;
  const double gain =
      both ? yarn_gain(factor, *own) / yarn_gain(factor, *all) : yarn_gain(factor, 1.0);
  out.add_number(prefix + "rope.scaling.gain", given.value_or(gain));
  if (all) out.add_number(prefix + "rope.scaling.yarn_log_multiplier", 0.1 * *all);
}

}  // namespace

Result<void> add_rope(const Json& config, const std::string& prefix, Metadata& out) {
  const RopeConfig rope = rope_config_of(config);
  if (rope.base) out.add_number(prefix + "rope.freq_base", *rope.base);
  if (rope.windowed_base) out.add_number(prefix + "rope.freq_base_swa", *rope.windowed_base);
  if (const auto part = number(config, "partial_rotary_factor"); part && *part != 1.0)
    return Error{Errc::internal, "partial_rotary_factor is not supported"};

  const Json& newer = at_or_null(rope.scaling, "rope_type");
  const Json& type = newer.is_null() ? at_or_null(rope.scaling, "type") : newer;
  if (type.is_null() || type == "default") return {};
  if (type != "linear" && type != "llama3" && type != "yarn") {
    return Error{Errc::internal, "rope scaling " + type.dump().substr(0, 40) +
                                     " is not supported: linear, llama3 and yarn are"};
  }
  out.add_text(prefix + "rope.scaling.type", type.get_ref<const std::string&>());
  for (const auto& [theirs, ours] : kScalingNumbers) {
    if (const auto value = number(rope.scaling, theirs))
      out.add_number(prefix + std::string(ours), *value);
  }
  const Json& original = at_or_null(rope.scaling, "original_max_position_embeddings");
  const Json& context =
      original.is_null() ? at_or_null(config, "original_max_position_embeddings") : original;
  const Json& used = context.is_null() ? at_or_null(config, "max_position_embeddings") : context;
  if (used.is_number_integer() && used <= std::int64_t{1} << 40)
    out.add_integer(prefix + "rope.scaling.original_context_length", used.get<std::int64_t>());
  if (type == "yarn") add_yarn(rope.scaling, prefix, out);
  return {};
}

}  // namespace spillway::loader
