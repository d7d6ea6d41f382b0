// `spillway config`: what may be configured (reference, schema) and what a file comes to (show).
#include "config/effective.h"
#include "config/load.h"
#include "config/reference.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/unset_keys.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>

namespace spillway::verbs {

int config(const Arguments& arguments) {
  Options options;
  options.words("reference | schema | show FILE", 2)
      .flag("--effective", "with show: every value in force and where it came from (as without)");
  if (!options.read(arguments, "spillway config")) return options.exit_status();
  const Arguments& words = options.words_given();
  const std::string what = words.empty() ? "" : words.front();
  if (what == "reference") {
    std::fputs(spillway::config::reference_page().c_str(), stdout);
    return kDone;
  }
  if (what == "schema") {
    std::fputs(spillway::config::json_schema().c_str(), stdout);
    return kDone;
  }
  if (what != "show" || words.size() < 2) {
    std::fprintf(stderr, "spillway config: what? reference, schema, or show FILE (try --help)\n");
    return kMisused;
  }
  UnsetKeys unset;
  auto loaded = spillway::config::load_file(words[1], unset.environment());
  unset.warn(loaded);
  print_problems(words[1], loaded);
  if (!loaded.settings) return kMisused;
  std::fputs(spillway::config::effective_yaml(*loaded.settings).c_str(), stdout);
  return kDone;
}

}  // namespace spillway::verbs
