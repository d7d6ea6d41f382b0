// The reference engine with everything handed to it, at three loads: attainment, cost and run time.
//   simulate_all_local SATURATION|NAME FILE...
// NAME is azure1h, servegen_day, mooncake or reason_day; SATURATION is requests a second.
#include "tests/unit/simulate_all_local.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace spillway::simulate {
namespace {

int run(const std::string& name, const std::vector<std::string>& paths, int cache_tokens) {
  const double saturation = reference_saturation(name).value_or(std::atof(name.c_str()));
  const auto trace = read_trace(paths);
  if (!trace || saturation <= 0.0) {
    std::fprintf(stderr, "%s\n", trace ? "no such saturation" : trace.error().message.c_str());
    return 2;
  }
  ReferenceEngineParams params;
  params.prefix_cache_tokens = cache_tokens;
  std::puts("load   requests  attainment  usd/Mtok  requests/s  seconds to run");
  for (const double share : {0.4, 0.8, 1.5, 5.0}) {
    ReplayRules rules;
    rules.scale = share * saturation / rate_of(*trace, rules);
    const Replay stream = replay(*trace, rules);
    const auto begun = std::chrono::steady_clock::now();
    const auto served = serve_all(stream, params);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    const AllLocalFigures figures = figures_of(stream, served);
    std::printf("%3.0f %%  %8zu  %8.2f %%  %8.4f  %10.2f  %.2f\n", 100.0 * share, served.size(),
                figures.attainment, figures.usd_per_million,
                static_cast<double>(served.size()) / figures.last_finish, took.count());
  }
  return 0;
}

}  // namespace
}  // namespace spillway::simulate

int main(int argc, char** argv) {
  int cache_tokens = 0;
  if (argc > 2 && std::string(argv[1]).starts_with("--cache=")) {
    cache_tokens = std::atoi(argv[1] + 8);
    --argc;
    ++argv;
  }
  if (argc < 3) {
    std::fputs("usage: simulate_all_local [--cache=TOKENS] SATURATION|NAME FILE...\n", stderr);
    return 2;
  }
  return spillway::simulate::run(argv[1], {argv + 2, argv + argc}, cache_tokens);
}
