#include "backends/isolated/engine_process.h"

#include "backends/isolated/engine_server.h"
#include "backends/isolated/line.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/prctl.h>
#include <utility>

namespace spillway::isolated {
namespace {

// It dies with the gateway, however that dies, and before it where memory is short.
void hang_on_to_gateway() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "spillway-engine");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
  if (std::FILE* const file = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("500", file);
    std::fclose(file);
  }
}

}  // namespace

void run_engine_process(process::Program form_server) {
  const auto line = Line::inherited();
  if (!line) {
    std::fprintf(stderr, "spillway: a gateway starts this, see `isolation` in its configuration\n");
    std::exit(static_cast<int>(Exit::confused));
  }
  hang_on_to_gateway();
  EngineServer server(**line, local::load_local_model, std::move(form_server));
  const Exit exit = server.run();
  std::fflush(nullptr);
  std::_Exit(static_cast<int>(exit));  // Its threads still run.
}

}  // namespace spillway::isolated
