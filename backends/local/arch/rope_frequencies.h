// How fast the angles of rotary positions advance, with whatever scaling a file asks for.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <string>
#include <vector>

namespace spillway::local {

struct Rope {
  std::vector<double> inverse_frequencies;  // Of the pairs of rotated numbers.
  double gain = 1.0;                        // What cosines and sines are multiplied by.
};

// Of pairs of `width` rotated numbers, by the keys below `prefix`: linear, llama3 and yarn scaling.
// `yarn_gains`: yarn's gain where the file does not say, by the paper; else it is 1.
// invalid_request names a key, or a scaling that is not read.
Result<Rope> read_rope(const loader::ModelFile& file, int width, const std::string& prefix,
                       double base, bool yarn_gains);

// base^(-2i / width) for each pair i (Su et al. 2021).
std::vector<double> plain_rope(int width, double base);

}  // namespace spillway::local
