// `spillway check`: everything that is wrong with a configuration file, its policy's own tests
// included, without serving it.
#include "backends/local/local_backend.h"
#include "backends/local/local_encoder.h"
#include "config/value.h"
#include "gateway/admin/rollout_json.h"
#include "gateway/reload/guard.h"
#include "gateway/reload/logged_decisions.h"
#include "gateway/reload/policy_file.h"
#include "gateway/reload/rehearsal.h"
#include "gateway/reload/shadow_file.h"
#include "gateway/telemetry/read_log.h"
#include "gateway/verbs/admin_options.h"
#include "gateway/verbs/fits.h"
#include "gateway/verbs/numbers.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/unset_keys.h"
#include "gateway/verbs/verbs.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

namespace spillway::verbs {

namespace {

constexpr const char* kVerb = "spillway check";

// What one GPU has, as far as is said. False: that is no size (printed).
bool read_gpu_memory(const Options& options, std::optional<std::int64_t>& memory) {
  if (!options.has("--gpu-memory")) return true;
  const auto parsed = config::parse_value(config::Kind::bytes, options.get("--gpu-memory"));
  if (const auto* mistake = std::get_if<config::Mistake>(&parsed)) {
    std::fprintf(stderr, "spillway check: --gpu-memory: %s\n", mistake->message.c_str());
    return false;
  }
  memory = std::get<std::int64_t>(std::get<config::Value>(parsed));
  return true;
}

// How much memory the local model may take, each time it is loaded: the machine's, or that of its
// GPUs. Nothing: it is not known.
std::optional<std::int64_t> memory_for(const config::LocalTarget& target,
                                       std::optional<std::int64_t> gpu_memory) {
  if (target.executor != "cuda") return machine_memory() / target.replicas;
  if (!gpu_memory) return std::nullopt;
  return *gpu_memory * target.tensor_parallel;
}

// A model file that is not there is told elsewhere.
bool local_fits(const std::string& path, const config::LocalTarget& target,
                std::optional<std::int64_t> gpu_memory) {
  if (target.executor == "synthetic") return true;
  const auto need = memory_need(target);
  if (!need && std::filesystem::exists(target.model_path)) {
    std::fprintf(stderr, "%s: targets.%s.model: %s\n", path.c_str(), target.name.c_str(),
                 need.error().message.c_str());
    return false;
  }
  const auto shared = need ? local::check_local_target(target) : Result<void>();
  if (!shared) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), shared.error().message.c_str());
    return false;
  }
  const auto memory = memory_for(target, gpu_memory);
  if (!need || !memory) return true;
  const auto refusal = does_not_fit(target, *need, *memory);
  if (!refusal) return true;
  std::fprintf(stderr, "%s: targets.%s: %s\n", path.c_str(), target.name.c_str(), refusal->c_str());
  return false;
}

// As above: a folder that is there.
bool is_in_order(const std::string& path, const config::ProviderTarget& target) {
  if (!target.is_here() || !std::filesystem::exists(target.encoder.model_path)) return true;
  const auto checked = local::check_local_encoder(target);
  if (checked) return true;
  std::fprintf(stderr, "%s: %s\n", path.c_str(), checked.error().message.c_str());
  return false;
}

// As the gateway reads the shadow's file: what is wrong with it stands down the shadow alone.
void warn_of_shadow(config::Loaded& loaded) {
  const std::string path = loaded.settings ? shadow_path(*loaded.settings) : "";
  if (path.empty()) return;
  const config::Loaded shadow = load_policy(path, unneeded_secret);
  if (shadow.settings) return;
  const config::Problem& first = shadow.problems.front();  // "policy.yaml:12:5: …"
  loaded.warnings.push_back(
      {0, 0, "shadow.policy", (first.line > 0 ? path + ":" : "") + config::to_string(first)});
}

// What the last decisions of the running gateway would have been under the file. 0: a reload would
// take it over.
int rehearse(const std::string& path, const Options& options) {
  const auto door = admin_door(options, kVerb, path);
  if (!door) return door.exit_status();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  const auto answer = remote::ask_admin(*door, "POST", "/rehearse", text.str());
  if (!answer) {
    std::fprintf(stderr, "%s: %s\n", kVerb, answer.error().message.c_str());
    return kFailed;
  }
  return print_answer(*door, *answer, kVerb);
}

// The same of the decisions in a log, which were made under --config; nobody is asked.
int rehearse_log(const std::shared_ptr<const config::Settings>& next, const Options& options) {
  if (!options.has("--config")) {
    std::fprintf(stderr, "%s: --log: give --config, too: the file that the log was written under\n",
                 kVerb);
    return kMisused;
  }
  const auto most = number(options, "--last", 500, {1, 1e6});
  if (!most) return kMisused;
  const config::Loaded in_force = load_policy(options.get("--config"), unneeded_secret);
  if (!in_force.settings) {
    print_problems(options.get("--config"), in_force);
    return kMisused;
  }
  const auto log = telemetry::read_log(options.get("--log"), static_cast<std::size_t>(*most));
  if (!log) {
    std::fprintf(stderr, "%s: %s\n", kVerb, log.error().message.c_str());
    return kMisused;
  }
  Tried tried;
  tried.rehearsal =
      spillway::rehearse(recorded_in(*log, in_force.settings), policy::Router(in_force.settings),
                         policy::Router(next), std::chrono::minutes(10));
  tried.objections = objections(tried.rehearsal, in_force.settings->guard);
  std::fputs(admin::answer_of(tried).body.c_str(), tried.objections.empty() ? stdout : stderr);
  return tried.objections.empty() ? kDone : kFailed;
}

}  // namespace

int check(const Arguments& arguments) {
  Options options;
  options.words("FILE", 1)
      .fails_when("FILE is not in order, or a reload would refuse it or could not be asked")
      .flag("--strict", "warnings fail, too")
      .value("--gpu-memory", "SIZE", "executor cuda: refuse a model that cannot fit, 80GiB")
      .flag("--rehearse",
            "also have the running gateway make its last decisions again under the file, and say "
            "what would move and what a reload would have against it")
      .value(
          "--log", "FILE",
          "as --rehearse, but of the last decisions in this log of a gateway's; it need not run, "
          "--config is the file that it ran under")
      .value("--last", "N", "so many decisions of the log (default 500)");
  add_admin_options(options);
  if (!options.read(arguments, kVerb)) return options.exit_status();
  if (options.words_given().empty() && !options.has("--config")) {
    std::fprintf(stderr, "spillway check: which file? (spillway check config/spillway.yaml)\n");
    return kMisused;
  }
  std::optional<std::int64_t> gpu_memory;
  if (!read_gpu_memory(options, gpu_memory)) return kMisused;
  const std::string path =
      options.words_given().empty() ? options.get("--config") : options.words_given().front();
  UnsetKeys unset;
  config::Loaded loaded = load_policy(path, unset.environment());
  unset.warn(loaded);
  warn_of_shadow(loaded);
  print_problems(path, loaded);
  if (!loaded.settings || (options.has("--strict") && !loaded.warnings.empty())) return kFailed;
  const config::Settings& settings = *loaded.settings;
  for (const config::LocalTarget& target : settings.local) {
    if (!local_fits(path, target, gpu_memory)) return kFailed;
  }
  for (const config::ProviderTarget& target : settings.providers) {
    if (!is_in_order(path, target)) return kFailed;
  }
  std::printf("%s: good: %zu targets, %zu classes, %zu keys, %zu rules; %zu tests hold\n",
              path.c_str(), settings.local.size() + settings.providers.size(),
              settings.policy.classes.size(), settings.keys.size(), settings.policy.rules.size(),
              settings.policy.tests.size());
  if (options.has("--log")) return rehearse_log(loaded.settings, options);
  return options.has("--rehearse") ? rehearse(path, options) : 0;
}

}  // namespace spillway::verbs
