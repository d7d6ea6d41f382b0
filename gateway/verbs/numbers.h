// Numbers among a verb's options. A mistake is printed to stderr.
#pragma once

#include "gateway/verbs/options.h"

#include <optional>
#include <string>

namespace spillway::verbs {

struct Range {
  double least, most;
};

// `otherwise` if the option was not given; nullopt if it is no number of the range.
std::optional<double> number_of(const std::string& name, const std::string& text, Range range);
std::optional<double> number(const Options& options, const std::string& name, double otherwise,
                             Range range);

}  // namespace spillway::verbs
