#include "gateway/verbs/replay_setup.h"

#include "config/language/tree.h"
#include "gateway/policy/rule_facts.h"
#include "gateway/reload/policy_file.h"
#include "gateway/telemetry/read_log.h"
#include "gateway/verbs/numbers.h"
#include "gateway/verbs/print_problems.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace spillway::verbs {
namespace {

constexpr Range kScales{1e-3, 1e3};  // Factors on a trace's rate.

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

// The trace's rows bring promises of their own: they count in place of the classes', which are the
// longest of them, so that who has this asks for no less than its class promises.
std::shared_ptr<const config::Settings> settings_for_a_trace(const config::Settings& settings,
                                                             const std::string& batch_class,
                                                             const simulate::Replay& replay) {
  double longest = 0.0;  // Seconds.
  for (const simulate::TraceRequest& one : replay.requests)
    if (!one.batch) longest = std::max(longest, one.ttft_slo);
  auto own = std::make_shared<config::Settings>(settings);
  for (config::RequestClass& one : own->policy.classes) {
    if (one.name == batch_class && one.sla.deadline)
      one.sla.deadline = std::chrono::hours(24 * 365);
    if (one.name == own->policy.default_class && one.sla.ttft)
      one.sla.ttft =
          std::chrono::ceil<config::Milliseconds>(std::chrono::duration<double>(longest));
  }
  return own;
}

// Rows of a log are of their own class; their promises are those of a trace that has none.
simulate::TraceRow row_of(const telemetry::LoggedRequest& logged, const std::string& batch_class) {
  simulate::TraceRow row;
  row.at = logged.arrived;
  row.prompt_tokens = std::max(1, logged.prompt_tokens);
  row.completion_tokens = std::max(1, logged.completion_tokens);
  row.row_class = logged.request_class == batch_class ? simulate::RowClass::batch
                                                      : simulate::RowClass::interactive;
  return row;
}

Result<simulate::RecordedTrace> trace_of_logs(const std::vector<std::string>& paths,
                                              const std::string& batch_class) {
  simulate::RecordedTrace trace;
  for (const std::string& path : paths) {
    const auto log = telemetry::read_log(path);
    if (!log) return log.error();
    for (const auto& logged : *log) trace.rows.push_back(row_of(logged, batch_class));
  }
  std::stable_sort(trace.rows.begin(), trace.rows.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  const double first = trace.rows.front().at;
  for (std::size_t i = 0; i < trace.rows.size(); ++i) {
    trace.rows[i].id = i;
    trace.rows[i].at -= first;
  }
  return trace;
}

}  // namespace

void declare_replay(Options& options) {
  options
      .value("--trace", "FILE[,FILE]",
             "what is asked: Azure, Mooncake or ServeGen format, or CSV "
             "id,t_ms,in_tokens,out_tokens,class,deadline_ms, .gz or plain; or a gateway's log")
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
      .flag("--no-overload", "leave out the cheapest provider's episode of failing and slowness");
}

Given<ReplaySetup> read_replay(const Options& options) {
  SimulationSetup setup;
  setup.batch_class = options.get("--batch-class", setup.batch_class);
  const std::vector<std::string> paths = split(options.get("--trace"));
  const auto trace = telemetry::is_log(paths.front()) ? trace_of_logs(paths, setup.batch_class)
                                                      : simulate::read_trace(paths);
  if (!trace) {
    std::fprintf(stderr, "spillway: %s\n", trace.error().message.c_str());
    return kFailed;
  }
  simulate::ReplayRules rules;
  const auto speed = number(options, "--speed", 1.0, {1e-2, 1e3});
  if (!speed) return kMisused;
  if (options.has("--speed")) rules.speed = *speed;
  const auto scale = scale_of(options, simulate::rate_of(*trace, rules));
  const auto slowdown = number(options, "--slowdown", 1.0, {0.01, 100.0});
  const auto cloud_slowdown = number(options, "--cloud-slowdown", 1.0, {0.01, 100.0});
  const auto cache = number(options, "--prefix-cache", 1.0, {1.0, 1e9});
  const auto seed = number(options, "--seed", 1.0, {0.0, 1e15});
  const std::string without = options.get("--without");
  if (options.has("--without") && without != "drift" && without != "worth") {
    std::fprintf(stderr, "spillway: --without wants drift or worth, not '%s'\n", without.c_str());
    return kMisused;
  }
  const auto starts = clock_of(options.get("--starts", "mon 00:00"));
  if (!scale || !slowdown || !cloud_slowdown || !cache || !seed || !starts) return kMisused;
  rules.scale = *scale;

  setup.engine.slowdown = *slowdown;
  setup.cloud_slowdown = *cloud_slowdown;
  if (options.has("--prefix-cache")) setup.engine.prefix_cache_tokens = static_cast<int>(*cache);
  setup.model = options.get("--model", setup.model);
  setup.seed = static_cast<std::uint64_t>(*seed);
  setup.starts = *starts;
  setup.without_drift = without == "drift";
  setup.without_worth = without == "worth";
  setup.overload = !options.has("--no-overload");
  return ReplaySetup{simulate::replay(*trace, rules), std::move(setup)};
}

std::optional<SimulationSetup> with_policy(const ReplaySetup& replay, const std::string& path) {
  const auto loaded = load_policy(path, unneeded_secret);
  if (!loaded.settings) {
    print_problems(path, loaded);
    return std::nullopt;
  }
  const auto& local = loaded.settings->local;
  if (!local.empty() && local.front().replicas > 1) {
    std::fprintf(stderr,
                 "spillway: %s: what is simulated is one engine, and targets.%s has replicas: %d; "
                 "leave them out of a copy of the file\n",
                 path.c_str(), local.front().name.c_str(), local.front().replicas);
    return std::nullopt;
  }
  SimulationSetup setup = replay.setup;
  setup.settings = settings_for_a_trace(*loaded.settings, setup.batch_class, replay.replay);
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
