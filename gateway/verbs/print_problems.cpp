#include "gateway/verbs/print_problems.h"

#include <cstdio>

namespace spillway::verbs {

void print_problems(const std::string& path, const config::Loaded& loaded) {
  for (const config::Problem& problem : loaded.problems) {
    std::fprintf(stderr, "%s:%s\n", path.c_str(), config::to_string(problem).c_str());
  }
  for (const config::Problem& warning : loaded.warnings) {
    std::fprintf(stderr, "%s:%s (warning)\n", path.c_str(), config::to_string(warning).c_str());
  }
}

}  // namespace spillway::verbs
