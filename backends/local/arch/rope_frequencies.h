// How fast the angles of rotary positions advance, with whatever scaling a file asks for.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <string>
#include <vector>

namespace spillway::local {

// Of the pairs of `width` rotated numbers: width / 2 of them, for keys below `prefix`.
// invalid_request names a scaling that is not read.
Result<std::vector<double>> read_frequencies(const loader::ModelFile& file, int width,
                                             const std::string& prefix, double base);

// Yarn's (Peng et al. 2023): fast pairs stay as they are, slow ones are stretched by `factor`,
// those between are blended; `context` is the one that the model was first trained for.
std::vector<double> yarn_frequencies(int width, double base, double factor, int context);

}  // namespace spillway::local
