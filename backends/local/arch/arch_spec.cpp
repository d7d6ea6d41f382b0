#include "backends/local/arch/arch_spec.h"

#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace spillway::local {

namespace {

// A file that claims more is damaged or means harm: nothing is made of such sizes.
constexpr std::int64_t kSizeMax = 1 << 24;
constexpr int kLayersMax = 4'096;
constexpr std::int64_t kHeadsWidthMax = 1 << 20;

Error unsupported(const std::string& what) {
  return {Errc::invalid_request, "model file: " + what, "", std::nullopt};
}

// Reads keys below the architecture's prefix; the first one that is missing or wrong is kept.
class Keys {
 public:
  Keys(const loader::Metadata& metadata, std::string prefix)
      : metadata_(metadata), prefix_(std::move(prefix)) {}

  int integer(const std::string& key, std::optional<std::int64_t> fallback = {}) {
    const auto value = metadata_.integer(prefix_ + key, fallback);
    if (!value) keep(value.error());
    if (value && (*value < 1 || *value > kSizeMax)) {
      keep(unsupported(prefix_ + key + " is " + std::to_string(*value) +
                       ", which is no size: from 1 to " + std::to_string(kSizeMax) + " are read"));
      return 1;
    }
    return value ? static_cast<int>(*value) : 1;
  }

  double number(const std::string& key, std::optional<double> fallback = {}) {
    const auto value = metadata_.number(prefix_ + key, fallback);
    if (!value) keep(value.error());
    return value ? *value : 0.0;
  }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  void keep(const Error& error) {
    if (!problem_) problem_ = error;
  }

  const loader::Metadata& metadata_;
  const std::string prefix_;
  std::optional<Error> problem_;
};

// Angles advance by base^(-2i/D) a position (Su et al. 2021); linear scaling stretches positions.
std::vector<double> rope_frequencies(int head_width, double base, double linear_factor) {
  std::vector<double> frequencies;
  for (int i = 0; i < head_width / 2; ++i) {
    frequencies.push_back(std::pow(base, -2.0 * i / head_width) / linear_factor);
  }
  return frequencies;
}

Result<double> linear_rope_factor(const loader::Metadata& metadata, const std::string& prefix) {
  const auto kind = metadata.text(prefix + "rope.scaling.type", "none");
  if (!kind) return kind.error();
  if (*kind == "none") return 1.0;
  if (*kind != "linear")
    return unsupported("rope scaling " + std::string(*kind) + " is not supported");
  return metadata.number(prefix + "rope.scaling.factor");
}

// Llama 3.1 and later: the file says by how much each frequency is divided.
Result<void> divide_by_factors(const loader::GgufFile& file, std::vector<double>& frequencies) {
  const std::string name = "rope_freqs.weight";
  if (file.find(name) == nullptr) return {};
  const auto count = static_cast<std::int64_t>(frequencies.size());
  const auto tensor = model_tensor(file, name, 1, count);
  if (!tensor) return tensor.error();
  std::vector<float> factors(frequencies.size());
  const auto read = loader::dequantize(**tensor, factors);
  if (!read) return read.error();
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0.0F) || !std::isfinite(factors[i]))
      return unsupported(name + " has factors that are not above 0");
    frequencies[i] /= factors[i];
  }
  return {};
}

Result<std::vector<double>> read_frequencies(const loader::GgufFile& file, int head_width,
                                             const std::string& prefix, double base) {
  const auto factor = linear_rope_factor(file.metadata(), prefix);
  if (!factor) return factor.error();
  auto frequencies = rope_frequencies(head_width, base, *factor);
  const auto divided = divide_by_factors(file, frequencies);
  if (!divided) return divided.error();
  return frequencies;
}

}  // namespace

Result<ArchSpec> read_arch_spec(const loader::GgufFile& file) {
  const auto architecture = file.metadata().text("general.architecture");
  if (!architecture) return architecture.error();
  ArchSpec spec;
  spec.name = std::string(*architecture);
  if (spec.name != "llama" && spec.name != "qwen2" && spec.name != "qwen3") {
    return unsupported("architecture " + spec.name +
                       " is not supported: llama, qwen2 and qwen3 are");
  }
  spec.interleaved_rope_rows = spec.name == "llama";
  spec.qkv_bias = file.find("blk.0.attn_q.bias") != nullptr;
  spec.head_norms = file.find("blk.0.attn_q_norm.weight") != nullptr;

  Keys keys(file.metadata(), spec.name + ".");
  spec.layers = keys.integer("block_count");
  spec.width = keys.integer("embedding_length");
  spec.feed_forward_width = keys.integer("feed_forward_length");
  spec.query_heads = keys.integer("attention.head_count");
  spec.kv_heads = keys.integer("attention.head_count_kv", spec.query_heads);
  spec.context_max = keys.integer("context_length");
  spec.norm_epsilon = keys.number("attention.layer_norm_rms_epsilon");
  const double base = keys.number("rope.freq_base", 10'000.0);
  if (keys.problem()) return *keys.problem();
  if (spec.query_heads % spec.kv_heads != 0) return unsupported("head counts do not divide");
  if (spec.layers > kLayersMax) {
    return unsupported("block_count is " + std::to_string(spec.layers) + ": at most " +
                       std::to_string(kLayersMax) + " layers are read");
  }
  spec.head_width = keys.integer("attention.key_length", spec.width / spec.query_heads);
  const int rotated = keys.integer("rope.dimension_count", spec.head_width);
  if (keys.problem()) return *keys.problem();
  if (rotated != spec.head_width) return unsupported("partial rope is not supported");
  if (std::int64_t{spec.query_heads} * spec.head_width > kHeadsWidthMax)
    return unsupported("the heads are too wide together");

  auto frequencies = read_frequencies(file, spec.head_width, spec.name + ".", base);
  if (!frequencies) return frequencies.error();
  spec.inverse_frequencies = std::move(*frequencies);

  const auto embedding = file.require("token_embd.weight");
  if (!embedding) return embedding.error();
  spec.vocabulary = static_cast<int>((*embedding)->rows());
  spec.head_is_embedding = file.find("output.weight") == nullptr;
  return spec;
}

std::vector<std::int64_t> halves_from_pairs(int heads, int head_width) {
  std::vector<std::int64_t> order;
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t row = 0; row < head_width; ++row) {
      // Row i of the first half is the even partner of pair i, of the second half the odd one.
      const std::int64_t half = head_width / 2;
      order.push_back(head * head_width + (row % half) * 2 + row / half);
    }
  }
  return order;
}

}  // namespace spillway::local
