// `spillway diff`: what another policy would change, on a trace, by the policies' own code.
#include "gateway/playback/simulation_difference.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/replay_setup.h"
#include "gateway/verbs/verbs.h"

#include <charconv>
#include <cstdio>
#include <string>

namespace spillway::verbs {

int diff(const Arguments& arguments) {
  Options options;
  options.words("OLD NEW --trace FILE", 2);
  declare_replay(options);
  options.value("--examples", "N", "so many of the requests that moved are shown (default 5)");
  if (!options.read(arguments, "spillway diff")) return options.exit_status();
  if (options.words_given().size() < 2 || !options.has("--trace")) {
    std::fprintf(stderr, "spillway diff: give OLD, NEW and --trace FILE (try --help)\n");
    return kMisused;
  }
  const std::string examples = options.get("--examples", "5");
  int count = 0;
  const char* const end = examples.data() + examples.size();
  const auto [stop, error] = std::from_chars(examples.data(), end, count);
  if (error != std::errc() || stop != end || count < 0) {
    std::fprintf(stderr, "spillway diff: --examples wants a number, not '%s'\n", examples.c_str());
    return kMisused;
  }
  const auto world = read_replay(options, options.words_given()[0]);
  if (!world) return world.exit_status();
  const auto before = with_policy(*world, options.words_given()[0]);
  const auto after = with_policy(*world, options.words_given()[1]);
  if (!before || !after) return kMisused;
  const auto answers_before = simulated(*before, world->replay);
  const auto answers_after = simulated(*after, world->replay);
  if (!answers_before || !answers_after) return kMisused;
  print_difference(world->replay, {*before, *answers_before}, {*after, *answers_after}, count,
                   stdout);
  return kDone;
}

}  // namespace spillway::verbs
