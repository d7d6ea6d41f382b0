// `spillway check`: everything that is wrong with a configuration file, its policy's own tests
// included, without serving it.
#include "gateway/policy_file.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/unset_keys.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>

namespace spillway::verbs {

int check(const Arguments& arguments) {
  Options options;
  options.words("FILE", 1).flag("--strict", "warnings fail, too");
  if (!options.read(arguments, "spillway check")) return options.exit_status();
  if (options.words_given().empty()) {
    std::fprintf(stderr, "spillway check: which file? (spillway check config/spillway.yaml)\n");
    return 2;
  }
  const std::string& path = options.words_given().front();
  UnsetKeys unset;
  config::Loaded loaded = load_policy(path, unset.environment());
  unset.warn(loaded);
  print_problems(path, loaded);
  if (!loaded.settings || (options.has("--strict") && !loaded.warnings.empty())) return 1;
  const config::Settings& settings = *loaded.settings;
  std::printf("%s: good: %zu targets, %zu classes, %zu keys, %zu rules; %zu tests hold\n",
              path.c_str(), settings.local.size() + settings.providers.size(),
              settings.policy.classes.size(), settings.keys.size(), settings.policy.rules.size(),
              settings.policy.tests.size());
  return 0;
}

}  // namespace spillway::verbs
