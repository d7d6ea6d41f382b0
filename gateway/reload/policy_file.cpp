#include "gateway/reload/policy_file.h"

#include "gateway/policy/policy_tests.h"

namespace spillway {

namespace {

config::Loaded tested(config::Loaded loaded) {
  if (!loaded.settings) return loaded;
  loaded.problems = policy::failed_tests(loaded.settings);
  if (!loaded.problems.empty()) loaded.settings = nullptr;
  return loaded;
}

}  // namespace

config::Loaded load_policy(const std::string& path, const config::Environment& environment) {
  return tested(config::load_file(path, environment));
}

config::Loaded load_policy_text(std::string_view text, const std::string& source,
                                const config::Environment& environment) {
  return tested(config::load_text(text, source, environment));
}

std::optional<std::string> unneeded_secret(const std::string& name) {
  return "not-needed-to-decide-" + name;
}

}  // namespace spillway
