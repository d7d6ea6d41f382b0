// The program: one verb a line, each verb in a file of its own under gateway/verbs/.
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <exception>
#include <string_view>

namespace {

using spillway::verbs::Arguments;
using spillway::verbs::kDone;
using spillway::verbs::kFailed;
using spillway::verbs::kMisused;

struct Verb {
  std::string_view name;
  std::string_view synopsis;
  std::string_view sentence;
  int (*run)(const Arguments&);
};

constexpr Verb kVerbs[] = {
    {"serve", "serve --config FILE", "run the gateway", spillway::verbs::serve},
    {"check", "check FILE", "check a configuration without running it", spillway::verbs::check},
    {"config", "config reference|schema|show FILE",
     "print what may be configured, or what is in force", spillway::verbs::config},
    {"provider", "provider --profile NAME --listen HOST:PORT", "simulate a provider over HTTP",
     spillway::verbs::provider},
    {"simulate", "simulate --policy FILE --trace FILE",
     "replay a trace through a policy on a virtual clock", spillway::verbs::simulate},
    {"replay", "replay --policy FILE --trace FILE",
     "replay part of a trace in real time, and compare with what was simulated",
     spillway::verbs::replay},
    {"diff", "diff OLD NEW --trace FILE", "replay a trace through two policies and compare",
     spillway::verbs::diff},
    {"explain", "explain REQUEST-ID | --config FILE --request FILE",
     "tell why a request goes where it goes", spillway::verbs::explain},
    {"import", "import [litellm] FILE", "turn another gateway's configuration into one of ours",
     spillway::verbs::import},
    {"keys", "keys create|list|show|rotate|revoke …", "give clients keys, and take them away",
     spillway::verbs::keys},
    {"report", "report --config FILE", "tell what was used, spent and saved",
     spillway::verbs::report},
    {"rollout", "rollout show|reload|promote|rollback",
     "let a running gateway take its configuration over", spillway::verbs::rollout},
    {"quantize", "quantize --report MODEL", "tell what fewer bits cost in memory and quality",
     spillway::verbs::quantize},
};

// No verbs for people: a gateway starts its engine by one, and an engine by the other what compiles
// forms for it.
constexpr std::string_view kEngine = "engine-child";
constexpr std::string_view kForms = "forms-child";

void print_help(std::FILE* to) {
  std::fprintf(
      to,
      "spillway %s: serves language models on the local machine while that meets the SLA,\n"
      "and carries the rest to cloud providers at the lowest price.\n\nUsage:\n",
      SPILLWAY_VERSION);
  for (const Verb& verb : kVerbs) {
    std::fprintf(to, "  spillway %-52s %s\n", verb.synopsis.data(), verb.sentence.data());
  }
  std::fprintf(to, "  spillway %-52s %s\n", "--version | --help", "");
  std::fprintf(
      to,
      "\n`spillway VERB --help` explains a verb. Exit status: 0 done; 1 what was asked about "
      "is bad, or it could not be done; 2 the command line is wrong, or a file that it "
      "names. stderr says why.\n");
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view name = argc > 1 ? argv[1] : "--help";
  if (name == "--version") {
    std::printf("spillway %s\n", SPILLWAY_VERSION);
    return kDone;
  }
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(stdout);
    return kDone;
  }
  if (name == kEngine) return spillway::verbs::engine_child({});
  if (name == kForms) return spillway::verbs::forms_child({});
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return verb.run(Arguments(argv + 2, argv + argc));
  }
  std::fprintf(stderr, "spillway: there is no verb '%s'\n\n", argv[1]);
  print_help(stderr);
  return kMisused;
} catch (const std::exception& error) {
  std::fprintf(stderr, "spillway: %s\n", error.what());
  return kFailed;
}
