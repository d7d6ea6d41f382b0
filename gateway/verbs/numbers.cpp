#include "gateway/verbs/numbers.h"

#include <cstdio>
#include <cstdlib>

namespace spillway::verbs {

std::optional<double> number(const Options& options, const std::string& name, double otherwise,
                             Range range) {
  if (!options.has(name)) return otherwise;
  return number_of(name, options.get(name), range);
}

std::optional<double> number_of(const std::string& name, const std::string& text, Range range) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0' && value >= range.least && value <= range.most) return value;
  std::fprintf(stderr, "spillway: %s wants a number from %g to %g, not '%s'\n", name.c_str(),
               range.least, range.most, text.c_str());
  return std::nullopt;
}

}  // namespace spillway::verbs
