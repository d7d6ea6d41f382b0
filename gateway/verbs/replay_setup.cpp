#include "gateway/verbs/replay_setup.h"

#include "config/language/tree.h"
#include "gateway/playback/logged_trace.h"
#include "gateway/playback/trace_asks.h"
#include "gateway/policy/classes.h"
#include "gateway/policy/router.h"
#include "gateway/reload/policy_file.h"
#include "gateway/telemetry/read_log.h"
#include "gateway/verbs/numbers.h"
#include "gateway/verbs/print_problems.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <set>
#include <utility>

namespace spillway::verbs {
namespace {

constexpr Range kScales{1e-3, 1e3};  // Factors on a trace's rate.
constexpr double kUsuallyFailing = 0.18;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    parts.push_back(list.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

// The factor on the trace's own rate.
std::optional<double> scale_of(const Options& options, double own_rate) {
  const auto load = number(options, "--load", 1.0, kScales);
  if (!load || !options.has("--saturation")) return load;
  const auto named = simulate::reference_saturation(options.get("--saturation"));
  const auto saturation = named ? named : number(options, "--saturation", 1.0, {1e-3, 1e6});
  if (!saturation) return std::nullopt;
  const double scale = *load * *saturation / own_rate;
  if (scale >= kScales.least && scale <= kScales.most) return scale;
  std::fprintf(stderr,
               "spillway: that is %g times the trace's own rate; give --load and "
               "--saturation for %g to %g times\n",
               scale, kScales.least, kScales.most);
  return std::nullopt;
}

// "sat 22:30"
std::optional<policy::WallClock> clock_of(const std::string& text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const auto weekday = language::weekday_named(text.substr(0, space));
  const std::string time = text.substr(std::min(space + 1, text.size()));
  const auto parsed = language::parse_literal(time, language::Type::time_of_day);
  const auto* const literal = std::get_if<language::Node>(&parsed);
  if (weekday && literal != nullptr) return policy::WallClock{*weekday, literal->number};
  std::fprintf(stderr,
               "spillway: --starts wants a day and a time such as \"sat 22:30\", not '%s'\n",
               text.c_str());
  return std::nullopt;
}

std::optional<config::Loaded> loaded_policy(const std::string& path) {
  auto loaded = load_policy(path, unneeded_secret);
  if (loaded.settings) return loaded;
  print_problems(path, loaded);
  return std::nullopt;
}

std::nullopt_t refused(const Error& error) {
  std::fprintf(stderr, "spillway: %s\n", error.message.c_str());
  return std::nullopt;
}

using Log = std::vector<telemetry::LoggedRequest>;

std::optional<Log> read_logs(const std::vector<std::string>& paths) {
  Log all;
  for (const std::string& path : paths) {
    auto log = telemetry::read_log(path);
    if (!log) return refused(log.error());
    all.insert(all.end(), std::make_move_iterator(log->begin()),
               std::make_move_iterator(log->end()));
  }
  return all;
}

// The trace; what a log says of providers goes into the setup.
std::optional<simulate::RecordedTrace> trace_of(const Options& options,
                                                const config::Settings& in_force,
                                                SimulationSetup& setup) {
  const std::vector<std::string> paths = split(options.get("--trace"));
  const bool is_log = telemetry::is_log(paths.front());
  if (options.has("--providers-from") || is_log) {
    const auto log =
        read_logs(options.has("--providers-from") ? split(options.get("--providers-from")) : paths);
    if (!log) return std::nullopt;
    setup.measured = measured_in(*log);
  }
  if (!is_log) {
    auto trace = simulate::read_trace(paths);
    if (!trace) return refused(trace.error());
    return std::move(*trace);
  }
  const auto log = read_logs(paths);
  if (!log) return std::nullopt;
  auto trace = trace_of_log(*log, in_force);
  if (trace.rows.empty())
    return refused({Errc::invalid_request, paths.front() + ": nobody asks for text in it"});
  return trace;
}

bool has_provider(const config::Settings& settings, const std::string& name) {
  const auto& providers = settings.providers;
  return std::any_of(providers.begin(), providers.end(),
                     [&](const config::ProviderTarget& one) { return one.name == name; });
}

bool no_such_provider(const std::string& option, const std::string& name) {
  std::fprintf(stderr, "spillway: %s: the policy has no provider '%s'\n", option.c_str(),
               name.c_str());
  return false;
}

// "NAME[=SHARE]"; all: each of them.
bool read_failing(const std::string& text, const config::Settings& settings,
                  SimulationSetup& setup) {
  const std::size_t equals = std::min(text.find('='), text.size());
  const std::string name = text.substr(0, equals);
  const std::string share_text = text.substr(std::min(equals + 1, text.size()));
  const auto share = equals == text.size() ? std::optional(kUsuallyFailing)
                                           : number_of("--failing", share_text, {0.0, 1.0});
  if (!share) return false;
  if (name != "all" && !has_provider(settings, name)) return no_such_provider("--failing", name);
  for (const config::ProviderTarget& one : settings.providers)
    if (name == "all" || one.name == name) setup.failing[one.name] = *share;
  return true;
}

// How the providers fare: who fails, and who has the episode of failing and slowness.
bool read_fortunes(const Options& options, const config::Settings& settings,
                   SimulationSetup& setup) {
  setup.overload = !options.has("--no-overload");
  setup.overloaded = options.get("--overload", simulate::usually_overloaded(settings));
  if (options.has("--overload") && !has_provider(settings, setup.overloaded))
    return no_such_provider("--overload", setup.overloaded);
  if (!options.has("--failing")) return true;
  const auto failing = split(options.get("--failing"));
  return std::all_of(failing.begin(), failing.end(),
                     [&](const std::string& one) { return read_failing(one, settings, setup); });
}

// Each combination of names that the trace has is asked of the policy once: what it does not have
// is a mistake of the trace.
bool names_are_known(const SimulationSetup& setup, const simulate::Replay& replay) {
  const TraceAsks asks(setup.settings, {setup.model, setup.batch_class}, replay);
  const policy::Router router(setup.settings);
  std::set<std::array<std::uint32_t, 4>> seen;
  for (std::size_t i = 0; i < replay.requests.size(); ++i) {
    const simulate::TraceRequest& one = replay.requests[i];
    const auto& told = one.told;
    const std::uint32_t asked = one.named ? told.request_class : 0;
    if (!seen.insert({asked, told.model, told.key, told.service_tier}).second) continue;
    const policy::RequestFacts facts = asks.facts(i);
    std::string wrong;
    if (const auto model = router.check_model(facts.model); !model) wrong = model.error().message;
    if (const auto its = policy::class_of(*setup.settings, facts); one.named && !its)
      wrong = its.error().message;
    if (wrong.empty()) continue;
    std::fprintf(stderr, "spillway: request %llu of the trace: %s\n",
                 static_cast<unsigned long long>(one.id), wrong.c_str());
    return false;
  }
  return true;
}

std::optional<simulate::ReplayRules> rules_of(const Options& options,
                                              const simulate::RecordedTrace& trace) {
  simulate::ReplayRules rules;
  const auto speed = number(options, "--speed", 1.0, {1e-2, 1e3});
  if (!speed) return std::nullopt;
  if (options.has("--speed")) rules.speed = *speed;
  const std::string promises = options.get("--promises", "trace");
  if (promises != "trace" && promises != "policy") {
    std::fprintf(stderr, "spillway: --promises wants trace or policy, not '%s'\n",
                 promises.c_str());
    return std::nullopt;
  }
  rules.gives_deadlines = promises == "trace";
  const auto scale = scale_of(options, simulate::rate_of(trace, rules));
  if (!scale) return std::nullopt;
  rules.scale = *scale;
  return rules;
}

bool read_numbers(const Options& options, SimulationSetup& setup) {
  const auto slowdown = number(options, "--slowdown", 1.0, {0.01, 100.0});
  const auto cloud_slowdown = number(options, "--cloud-slowdown", 1.0, {0.01, 100.0});
  const auto cache = number(options, "--prefix-cache", 1.0, {1.0, 1e9});
  const auto seed = number(options, "--seed", 1.0, {0.0, 1e15});
  const auto starts = clock_of(options.get("--starts", "mon 00:00"));
  const std::string without = options.get("--without");
  if (options.has("--without") && without != "drift" && without != "worth") {
    std::fprintf(stderr, "spillway: --without wants drift or worth, not '%s'\n", without.c_str());
    return false;
  }
  if (!slowdown || !cloud_slowdown || !cache || !seed || !starts) return false;
  setup.engine.slowdown = *slowdown;
  setup.cloud_slowdown = *cloud_slowdown;
  if (options.has("--prefix-cache")) setup.engine.prefix_cache_tokens = static_cast<int>(*cache);
  setup.seed = static_cast<std::uint64_t>(*seed);
  setup.starts = *starts;
  setup.without_drift = without == "drift";
  setup.without_worth = without == "worth";
  return true;
}

}  // namespace

void declare_replay(Options& options) {
  options
      .value("--trace", "FILE[,FILE]",
             "what is asked: Azure, Mooncake or ServeGen format, or CSV "
             "id,t_ms,in_tokens,out_tokens,class,deadline_ms[,ttft_slo_ms][,prefix_ids][,key]"
             "[,tenant][,model][,label][,service_tier][,max_tokens], .gz or plain; or a gateway's "
             "log")
      .value("--promises", "trace|policy",
             "who says when work without a class of its own is due: the rules of recorded traces "
             "(900 s; the whole trace, of 12 h and more), or its class (default trace)")
      .value("--load", "X", "times the trace's own rate, or of --saturation (default 1)")
      .value("--saturation", "RATE",
             "requests a second that the node takes at most: a number, or azure1h, servegen_day, "
             "mooncake, reason_day")
      .value("--speed", "X",
             "replay so many times faster (default 8 for traces of 12 h and more, else 1)")
      .value("--slowdown", "X", "the engine takes so many times its profile (default 1)")
      .value("--cloud-slowdown", "X", "providers take so many times their profiles (default 1)")
      .value("--prefix-cache", "TOKENS", "the engine keeps prefixes of so many tokens (default 0)")
      .value("--seed", "N", "of the providers' latencies and failures (default 1)")
      .value("--batch-class", "NAME", "the class of batch requests (default batch)")
      .value("--model", "NAME", "the model that is asked for (default auto)")
      .value("--starts", "DAY HH:MM",
             "the clock on the wall when the trace begins, for rules that ask for it (default "
             "\"mon 00:00\")")
      .value("--without", "drift|worth",
             "leave this out of what the policy knows: how the engine's pace differs from its "
             "profile; what held work makes a GPU second worth")
      .value("--failing", "NAME[=SHARE],…",
             "these providers (all: each) fail such a share of all requests (default 0.18 of them)")
      .value("--overload", "NAME",
             "who fails 18 % and is slow from 40 to 60 % of the time (default: ai-hub, or the "
             "policy's cheapest provider)")
      .flag("--no-overload", "nobody does")
      .value("--providers-from", "LOG[,LOG]",
             "gateways' logs that say how quick providers are and how often they fail (default: "
             "the trace, if it is a log; else the policy's `measured`)");
}

Given<ReplaySetup> read_replay(const Options& options, const std::string& policy) {
  SimulationSetup setup;
  setup.batch_class = options.get("--batch-class", setup.batch_class);
  setup.model = options.get("--model", setup.model);
  if (!read_numbers(options, setup)) return kMisused;
  const auto in_force = loaded_policy(policy);
  if (!in_force || !read_fortunes(options, *in_force->settings, setup)) return kMisused;
  const auto trace = trace_of(options, *in_force->settings, setup);
  if (!trace) return kMisused;
  const auto rules = rules_of(options, *trace);
  if (!rules) return kMisused;
  ReplaySetup replay{simulate::replay(*trace, *rules), std::move(setup)};
  SimulationSetup first = replay.setup;
  first.settings = in_force->settings;
  if (!names_are_known(first, replay.replay)) return kMisused;
  return replay;
}

std::optional<SimulationSetup> with_policy(const ReplaySetup& replay, const std::string& path) {
  const auto loaded = loaded_policy(path);
  if (!loaded) return std::nullopt;
  const auto& local = loaded->settings->local;
  if (!local.empty() && local.front().replicas > 1) {
    std::fprintf(stderr,
                 "spillway: %s: what is simulated is one engine, and targets.%s has replicas: %d; "
                 "leave them out of a copy of the file\n",
                 path.c_str(), local.front().name.c_str(), local.front().replicas);
    return std::nullopt;
  }
  SimulationSetup setup = replay.setup;
  setup.settings = loaded->settings;
  return setup;
}

std::optional<std::vector<SimulatedAnswer>> simulated(const SimulationSetup& setup,
                                                      const simulate::Replay& replay) {
  auto answers = simulate_replay(setup, replay);
  if (answers) return std::move(*answers);
  std::fprintf(stderr, "spillway: %s\n", answers.error().message.c_str());
  return std::nullopt;
}

}  // namespace spillway::verbs
