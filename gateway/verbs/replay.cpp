// `spillway replay`: part of a trace in real time through a whole gateway, beside what `simulate`
// foretells of it.
#include "gateway/playback/live_replay.h"
#include "gateway/playback/simulation_report.h"
#include "gateway/verbs/numbers.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/replay_setup.h"
#include "gateway/verbs/verbs.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <utility>

namespace spillway::verbs {
namespace {

constexpr double kAttainmentApart = 2.0;  // Points…
constexpr double kSpendApart = 0.05;      // …and share of what was simulated: more is disagreement.
constexpr int kRequestsApart = 5;         // Of few that are paid for a share says nothing.

struct Part {
  double begins = 0.0;
  double length = 120.0;
};

std::optional<Part> part_of(const Options& options) {
  const auto begins = number(options, "--from", 0.0, {0.0, 1e7});
  const auto length = number(options, "--for", Part{}.length, {1.0, 86'400.0});
  if (!begins || !length) return std::nullopt;
  return Part{*begins, *length};
}

// A connection each, at both ends, and those to the providers.
void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void tell(double seconds, std::size_t ended) {
  std::fprintf(stderr, "%5.0f s: %zu answers\n", seconds, ended);
}

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string percent(double value) { return fixed(value, 2) + " %"; }
std::string in_seconds(double value) { return fixed(value, 3) + " s"; }
std::string in_usd(double value) { return "$" + fixed(value, 4); }

void print_row(const std::string& name, const std::string& simulated, const std::string& live) {
  std::printf("%-28s %12s %12s\n", name.c_str(), simulated.c_str(), live.c_str());
}

void print_comparison(const SimulationFigures& simulated, const SimulationFigures& live) {
  print_row("", "simulated", "live");
  print_row("interactive, promises kept", percent(simulated.attainment), percent(live.attainment));
  print_row("batch in time", percent(simulated.in_time), percent(live.in_time));
  print_row("TTFT P50", in_seconds(simulated.ttft.p50), in_seconds(live.ttft.p50));
  print_row("TTFT P99", in_seconds(simulated.ttft.p99), in_seconds(live.ttft.p99));
  print_row("response, mean", in_seconds(simulated.response_mean), in_seconds(live.response_mean));
  print_row("paid to providers", in_usd(simulated.cloud_usd), in_usd(live.cloud_usd));
  auto targets = simulated.targets;
  targets.insert(live.targets.begin(), live.targets.end());
  const auto asked = [](const SimulationFigures& figures, const std::string& target) {
    const auto found = figures.targets.find(target);
    return std::to_string(found == figures.targets.end() ? 0 : found->second.requests);
  };
  for (const auto& [target, share] : targets)
    print_row("answered by " + target, asked(simulated, target), asked(live, target));
}

// USD that they may be apart.
double spend_allowed(const SimulationFigures& simulated) {
  int paid = 0;
  for (const auto& [target, share] : simulated.targets)
    paid += target == "local" || target == "nobody" ? 0 : share.requests;
  const double each = simulated.cloud_usd / std::max(1, paid);
  return std::max(kSpendApart * simulated.cloud_usd, kRequestsApart * each);
}

// Whether both tell the same; says so.
bool agree(const SimulationFigures& simulated, const SimulationFigures& live) {
  const double attainment = std::abs(simulated.attainment - live.attainment);
  const double spend = std::abs(simulated.cloud_usd - live.cloud_usd);
  const double most = spend_allowed(simulated);
  const bool well = attainment <= kAttainmentApart && spend <= most && live.failed == 0;
  std::printf(
      "\n%s: %.2f points of attainment apart (at most %.0f), $%.4f of spend (at most $%.4f), "
      "%zu errors seen by clients (none)\n",
      well ? "they agree" : "they disagree", attainment, kAttainmentApart, spend, most,
      live.failed);
  return well;
}

void print_pace(const simulate::ReferenceEngineParams& engine) {
  std::printf(
      "the engine's steps, as it learnt them: %.2f ms, %.1f us a sequence, %.1f ns a token of "
      "context, "
      "%.1f us one of a prompt\n\n",
      1e3 * engine.step_base, 1e6 * engine.step_per_sequence, 1e9 * engine.step_per_context_token,
      1e6 / engine.prompt_tokens_per_second);
}

int run(SimulationSetup setup, const simulate::Replay& part) {
  if (!simulated(setup, part)) return kMisused;  // Told what is wrong before it takes minutes.
  allow_many_files();
  std::signal(SIGPIPE, SIG_IGN);
  const auto live = replay_live(setup, part, tell);
  if (!live) {
    std::fprintf(stderr, "spillway replay: %s\n", live.error().message.c_str());
    return kFailed;
  }
  setup.engine = live->engine;
  const auto told = simulated(setup, part);
  if (!told) return kFailed;
  print_pace(live->engine);
  const auto simulated_figures = figures_of(setup, part, *told);
  const auto live_figures = figures_of(setup, part, live->answers);
  print_comparison(simulated_figures, live_figures);
  for (const auto& [trouble, times] : live->troubles)
    std::printf("  %zu times: %s\n", times, trouble.c_str());
  return agree(simulated_figures, live_figures) ? kDone : kFailed;
}

}  // namespace

int replay(const Arguments& arguments) {
  Options options;
  options.value("--policy", "FILE", "the configuration whose policy decides");
  declare_replay(options);
  options.value("--from", "SECONDS", "where in the replayed trace to begin (default 0)")
      .value("--for", "SECONDS", "how much of it, in real time (default 120)")
      .fails_when("the two disagree, or a client saw an error, or the gateway did not start");
  if (!options.read(arguments, "spillway replay --policy FILE --trace FILE"))
    return options.exit_status();
  if (!options.has("--policy") || !options.has("--trace")) {
    std::fprintf(stderr, "spillway replay: give --policy FILE and --trace FILE (try --help)\n");
    return kMisused;
  }
  const auto part = part_of(options);
  if (!part) return kMisused;
  const auto world = read_replay(options, options.get("--policy"));
  if (!world) return world.exit_status();
  const auto slice = simulate::slice(world->replay, part->begins, part->length);
  if (slice.requests.empty()) {
    std::fprintf(stderr, "spillway replay: nobody asks in %g s from %g s on; the trace has %g s\n",
                 part->length, part->begins, world->replay.length);
    return kMisused;
  }
  auto setup = with_policy(*world, options.get("--policy"));
  return setup ? run(std::move(*setup), slice) : kMisused;
}

}  // namespace spillway::verbs
