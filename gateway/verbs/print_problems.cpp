#include "gateway/verbs/print_problems.h"

#include <cstdio>

namespace spillway::verbs {

namespace {

// "file:12:5: …", but "file: …" of the file as a whole.
void print(const std::string& path, const config::Problem& problem, const char* kind) {
  std::fprintf(stderr, "%s:%s%s%s\n", path.c_str(), problem.line > 0 ? "" : " ",
               config::to_string(problem).c_str(), kind);
}

}  // namespace

void print_problems(const std::string& path, const config::Loaded& loaded) {
  for (const config::Problem& problem : loaded.problems) {
    print(path, problem, "");
  }
  for (const config::Problem& warning : loaded.warnings) {
    print(path, warning, " (warning)");
  }
}

}  // namespace spillway::verbs
