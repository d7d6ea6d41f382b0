// `spillway provider`: a simulated provider over HTTP, for trying policies and failures without an
// account.
#include "gateway/provider/provider.h"

#include "config/value.h"
#include "gateway/verbs/numbers.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

namespace spillway::verbs {
namespace {

using simulated::Fault;
using simulated::FaultKind;

Options declared() {
  Options options;
  options.value("--profile", "NAME", "cloudbrain, ai-hub, openmodel or instant")
      .value("--listen", "HOST:PORT", "where to listen (default 127.0.0.1:0: a free port, printed)")
      .value("--fail-share", "SHARE", "this share of the requests fails with 503, e.g. 0.18")
      .value("--slow", "FACTOR", "all latencies times this")
      .value("--script", "JSON", "faults in full, as POST /script takes them")
      .value("--seed", "N", "seed of latencies and faults (default 1)")
      .value("--key-env", "NAME", "ask for the key in this environment variable")
      .flag("--prefix-cache", "bill what was asked before as cached")
      .flag("--dead", "refuse every connection");
  return options;
}

// The script the options describe, or nothing after saying what is wrong with them.
std::optional<simulated::Script> script_of(const Options& options) {
  simulated::Script script;
  if (options.has("--script")) {
    auto parsed = provider::parse_script(options.get("--script"));
    if (!parsed) {
      std::fprintf(stderr, "spillway provider: --script: %s\n", parsed.error().message.c_str());
      return std::nullopt;
    }
    script = *parsed;
  }
  const auto slow = number(options, "--slow", script.slow, {0.0, 1e6});
  const auto fail_share = number(options, "--fail-share", 0.0, {0.0, 1.0});
  if (!slow || !fail_share) return std::nullopt;
  script.slow = *slow;
  script.dead = script.dead || options.has("--dead");
  if (*fail_share > 0.0) script.faults.push_back(Fault{FaultKind::error, *fail_share});
  return script;
}

}  // namespace

int provider(const Arguments& arguments) {
  Options options = declared();
  if (!options.read(arguments, "spillway provider")) return options.exit_status();

  const auto script = script_of(options);
  const auto seed = number(options, "--seed", 1.0, {0.0, 1e15});
  if (!script || !seed) return kMisused;

  const auto listen =
      config::parse_value(config::Kind::endpoint, options.get("--listen", "127.0.0.1:0"));
  if (const auto* mistake = std::get_if<config::Mistake>(&listen)) {
    std::fprintf(stderr, "spillway provider: --listen: %s\n", mistake->message.c_str());
    return kMisused;
  }

  provider::ProviderOptions wanted;
  wanted.profile = options.get("--profile", wanted.profile);
  const auto& endpoint = std::get<std::string>(std::get<config::Value>(listen));
  std::tie(wanted.listen.host, wanted.listen.port) = config::split_endpoint(endpoint);
  wanted.script = *script;
  wanted.prefix_cache = options.has("--prefix-cache");
  wanted.seed = static_cast<std::uint64_t>(*seed);
  if (options.has("--key-env")) {
    const char* key = std::getenv(options.get("--key-env").c_str());
    wanted.key = key != nullptr ? key : "";
  }
  return provider::run_provider(wanted);
}

}  // namespace spillway::verbs
