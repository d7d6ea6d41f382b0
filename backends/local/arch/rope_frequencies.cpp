#include "backends/local/arch/rope_frequencies.h"

#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace spillway::local {

namespace {

using Frequencies = std::vector<double>;

// Llama 3.1 and later, as GGUF files have it: by how much each frequency is divided.
Result<void> divide_by_factors(const loader::ModelFile& file, Frequencies& frequencies) {
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

// The same as folders have it: waves longer than the first context are stretched by `factor`, short
// ones stay, those between are blended.
struct Llama3Scaling {
  double factor;
  double low;   // Turns over the first context: fewer are stretched…
  double high;  // …and more are left alone.
  double context;
};

void stretch(const Llama3Scaling& scaling, Frequencies& frequencies) {
  for (double& frequency : frequencies) {
    const double turns = scaling.context * frequency / (2.0 * std::numbers::pi);
    const double kept = std::clamp((turns - scaling.low) / (scaling.high - scaling.low), 0.0, 1.0);
    frequency *= kept + (1.0 - kept) / scaling.factor;
  }
}

// Yarn's (Peng et al. 2023): fast pairs stay as they are, slow ones are stretched by `factor`,
// those between are blended; `context` is the one that the model was first trained for.
struct YarnScaling {
  double factor;
  double fast;  // Turns over the first context: more are left alone…
  double slow;  // …and fewer are stretched.
  double context;
};

void stretch(const YarnScaling& scaling, double base, Frequencies& frequencies) {
  const double width = 2.0 * static_cast<double>(frequencies.size());
  const auto pair_of = [&](double turns) {
    return width * std::log(scaling.context / (turns * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(base));
  };
  const double low = std::max(std::floor(pair_of(scaling.fast)), 0.0);
  const double high = std::min(std::ceil(pair_of(scaling.slow)), width - 1.0);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double along = (static_cast<double>(i) - low) / std::max(high - low, 0.001);
    const double stretched = std::clamp(along, 0.0, 1.0);
    frequencies[i] *= 1.0 - stretched + stretched / scaling.factor;
  }
}

// What yarn multiplies cosines and sines by.
double yarn_gain(ArchKeys& keys, double factor, bool yarn_gains) {
  const double usual = yarn_gains ? 0.1 * std::log(factor) + 1.0 : 1.0;
  return keys.number("rope.scaling.gain", usual * keys.number("rope.scaling.attn_factor", 1.0));
}

}  // namespace

std::vector<double> plain_rope(int width, double base) {
  Frequencies frequencies;
  for (int i = 0; i < width / 2; ++i) frequencies.push_back(std::pow(base, -2.0 * i / width));
  return frequencies;
}

Result<Rope> read_rope(const loader::ModelFile& file, int width, const std::string& prefix,
                       double base, bool yarn_gains) {
  if (!(base > 1.0) || !std::isfinite(base)) return unsupported("rope.freq_base is not above 1");
  Rope rope{plain_rope(width, base)};
  ArchKeys keys(file.metadata(), prefix);
  const auto kind = file.metadata().text(prefix + "rope.scaling.type", "none");
  if (!kind) return kind.error();
  const double factor = *kind == "none" ? 1.0 : keys.number("rope.scaling.factor");
  if (keys.problem()) return *keys.problem();
  if (!(factor >= 1.0) || !std::isfinite(factor))
    return unsupported(prefix + "rope.scaling.factor is below 1");
  if (*kind == "linear") {
    for (double& frequency : rope.inverse_frequencies) frequency /= factor;
  } else if (*kind == "llama3") {
    const Llama3Scaling scaling{
        factor, keys.number("rope.scaling.low_freq_factor"),
        keys.number("rope.scaling.high_freq_factor"),
        static_cast<double>(keys.size("rope.scaling.original_context_length"))};
    if (!(scaling.high > scaling.low))
      return unsupported("high_freq_factor is not above low_freq_factor");
    stretch(scaling, rope.inverse_frequencies);
  } else if (*kind == "yarn") {
    const YarnScaling scaling{
        factor, keys.number("rope.scaling.yarn_beta_fast", 32.0),
        keys.number("rope.scaling.yarn_beta_slow", 1.0),
        static_cast<double>(keys.size("rope.scaling.original_context_length"))};
    stretch(scaling, base, rope.inverse_frequencies);
    rope.gain = yarn_gain(keys, factor, yarn_gains);
  } else if (*kind != "none") {
    return unsupported("rope scaling " + std::string(*kind) + " is not supported");
  }
  if (keys.problem()) return *keys.problem();
  const auto divided = divide_by_factors(file, rope.inverse_frequencies);
  if (!divided) return divided.error();
  return rope;
}

}  // namespace spillway::local
