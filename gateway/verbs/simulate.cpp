// `spillway simulate`: what a policy would have made of a trace, by the policy's own code on a
// virtual clock.
#include "gateway/playback/simulation_report.h"
#include "gateway/verbs/engine_model.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/replay_setup.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <string>

namespace spillway::verbs {

int simulate(const Arguments& arguments) {
  Options options;
  options.value("--policy", "FILE", "the configuration whose policy decides");
  declare_replay(options);
  declare_engine_model(options);
  options.value("--decisions", "FILE", "also write where each request went, as CSV")
      .fails_when("the gateway at --admin does not tell what it has measured");
  if (!options.read(arguments, "spillway simulate --policy FILE --trace FILE"))
    return options.exit_status();
  if (!options.has("--policy") || !options.has("--trace")) {
    std::fprintf(stderr, "spillway simulate: give --policy FILE and --trace FILE (try --help)\n");
    return kMisused;
  }
  const auto world = read_replay(options, options.get("--policy"));
  if (!world) return world.exit_status();
  auto setup = with_policy(*world, options.get("--policy"));
  if (!setup) return kMisused;
  if (const int status = choose_engine_model(options, *setup); status != kDone) return status;
  const auto answers = simulated(*setup, world->replay);
  if (!answers) return kMisused;

  print_figures(figures_of(*setup, world->replay, *answers), stdout);
  if (!options.has("--decisions")) return kDone;
  if (write_decisions(options.get("--decisions"), *setup, world->replay, *answers)) return kDone;
  std::fprintf(stderr, "spillway simulate: cannot write %s\n", options.get("--decisions").c_str());
  return kMisused;
}

}  // namespace spillway::verbs
