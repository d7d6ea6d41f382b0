#include "backends/local/arch/windows_spec.h"

#include "backends/local/arch/rope_frequencies.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace spillway::local {
namespace {

// Of so many layers that follow each other the last sees everything; 1: none does. GGUF files of
// Gemma leave it to the program.
int usual_period(const ArchSpec& spec) {
  if (spec.name == "gemma2") return 2;
  return spec.name == "gemma3" ? 6 : 1;
}

std::vector<bool> windows_by_period(int layers, std::int64_t period) {
  std::vector<bool> windowed;
  for (int layer = 0; layer < layers; ++layer)
    windowed.push_back(period == 1 || layer % period != period - 1);
  return windowed;
}

Result<std::vector<bool>> read_pattern(const loader::Metadata& metadata, const ArchSpec& spec) {
  const std::string key = spec.name + ".attention.sliding_window_pattern";
  if (!metadata.contains(key)) return windows_by_period(spec.layers, usual_period(spec));
  if (const auto period = metadata.integer(key)) {
    if (*period < 1) return unsupported(key + " is less than 1");
    return windows_by_period(spec.layers, *period);
  }
  const auto given = metadata.integers(key);
  if (!given) return given.error();
  if (given->size() != static_cast<std::size_t>(spec.layers))
    return unsupported(key + " is not of as many layers as there are");
  std::vector<bool> windowed;
  for (const std::int64_t one : *given) windowed.push_back(one != 0);
  return windowed;
}

}  // namespace

Result<Windows> read_windows(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec) {
  Windows windows;
  windows.width = keys.size("attention.sliding_window", 0);
  if (keys.problem()) return *keys.problem();
  if (windows.width == 0) return windows;
  auto pattern = read_pattern(file.metadata(), spec);
  if (!pattern) return pattern.error();
  windows.of_layers = std::move(*pattern);
  const double base = keys.number("rope.freq_base_swa", spec.name == "gemma3" ? 10'000.0 : 0.0);
  if (keys.problem()) return *keys.problem();
  if (base > 1.0) windows.inverse_frequencies = plain_rope(spec.head_width, base);
  return windows;
}

}  // namespace spillway::local
