#include "backends/local/arch/windows_spec.h"

#include "backends/local/arch/rope_frequencies.h"

#include <string>
#include <vector>

namespace spillway::local {

Result<Windows> read_windows(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec) {
  Windows windows;
  windows.width = keys.size("attention.sliding_window", 0);
  if (keys.problem()) return *keys.problem();
  if (windows.width == 0) return windows;
  const std::string pattern = spec.name + ".attention.sliding_window_pattern";
  windows.of_layers.assign(static_cast<std::size_t>(spec.layers), true);
  if (file.metadata().contains(pattern)) {
    const auto given = file.metadata().integers(pattern);
    if (!given) return given.error();
    if (given->size() != windows.of_layers.size())
      return unsupported(pattern + " is not of as many layers as there are");
    for (std::size_t i = 0; i < given->size(); ++i) windows.of_layers[i] = (*given)[i] != 0;
  }
  const double base = keys.number("rope.freq_base_swa", 0.0);
  if (keys.problem()) return *keys.problem();
  if (base > 1.0) windows.inverse_frequencies = plain_rope(spec.head_width, base);
  return windows;
}

}  // namespace spillway::local
