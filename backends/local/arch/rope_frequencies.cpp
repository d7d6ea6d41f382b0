#include "backends/local/arch/rope_frequencies.h"

#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace spillway::local {

namespace {

// Angles advance by base^(-2i/D) a position (Su et al. 2021); linear scaling stretches positions.
std::vector<double> rope_frequencies(int width, double base, double linear_factor) {
  std::vector<double> frequencies;
  for (int i = 0; i < width / 2; ++i) {
    frequencies.push_back(std::pow(base, -2.0 * i / width) / linear_factor);
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
Result<void> divide_by_factors(const loader::ModelFile& file, std::vector<double>& frequencies) {
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

}  // namespace

Result<std::vector<double>> read_frequencies(const loader::ModelFile& file, int width,
                                             const std::string& prefix, double base) {
  const auto factor = linear_rope_factor(file.metadata(), prefix);
  if (!factor) return factor.error();
  auto frequencies = rope_frequencies(width, base, *factor);
  const auto divided = divide_by_factors(file, frequencies);
  if (!divided) return divided.error();
  return frequencies;
}

std::vector<double> yarn_frequencies(int width, double base, double factor, int context) {
  constexpr double kFastTurns = 32.0;  // Over the first context: more are left alone…
  constexpr double kSlowTurns = 1.0;   // …and fewer are stretched.
  const auto pair_of = [&](double turns) {
    return width * std::log(context / (turns * 2.0 * std::numbers::pi)) / (2.0 * std::log(base));
  };
  const double low = std::max(std::floor(pair_of(kFastTurns)), 0.0);
  const double high = std::min(std::ceil(pair_of(kSlowTurns)), width - 1.0);
  std::vector<double> frequencies = rope_frequencies(width, base, 1.0);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double along = (static_cast<double>(i) - low) / std::max(high - low, 0.001);
    const double stretched = std::clamp(along, 0.0, 1.0);
    frequencies[i] *= 1.0 - stretched + stretched / factor;
  }
  return frequencies;
}

}  // namespace spillway::local
