// `spillway serve`: runs the gateway until SIGTERM or SIGINT; SIGHUP reads the configuration again.
#include "gateway/gateway.h"
#include "gateway/reload/policy_file.h"
#include "gateway/reload/rolled_back.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/verbs.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

namespace spillway::verbs {
namespace {

namespace net = boost::asio;

// Signals from its construction on. While the gateway starts, which may take as long as a model
// takes to load, a thread of its own ends the process: nobody has been served yet, and what is kept
// bears a kill at any time. A SIGHUP that comes meanwhile waits for `run`.
class Signals {
 public:
  Signals() {
    wait();
    starting_ = std::thread([this] { context_.run(); });
  }
  ~Signals() { end_starting(); }

  // On the main thread: SIGHUP reloads, the first of the others ends it.
  void run(Gateway& gateway) {
    end_starting();
    gateway_ = &gateway;
    if (std::exchange(reload_, false)) (void)gateway.reload();
    context_.restart();
    context_.run();
  }

  // While draining: true once a second SIGTERM or SIGINT has come.
  bool hurried() {
    context_.restart();
    context_.poll();
    return ends_ > 1;
  }

 private:
  void end_starting() {
    if (!starting_.joinable()) return;
    context_.stop();
    starting_.join();
  }

  void wait() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      wait();
      if (gateway_ == nullptr && signal != SIGHUP) {
        std::fprintf(stderr, "spillway: ended by a signal before it had started\n");
        std::_Exit(0);
      }
      if (signal == SIGHUP && gateway_ == nullptr) {
        reload_ = true;
        return;
      }
      if (signal == SIGHUP) {
        (void)gateway_->reload();  // The gateway has logged how it went.
        return;
      }
      ++ends_;
      context_.stop();
    });
  }

  Gateway* gateway_ = nullptr;
  net::io_context context_{1};
  net::signal_set signals_{context_, SIGINT, SIGTERM, SIGHUP};
  int ends_ = 0;
  bool reload_ = false;   // Was asked for before there was a gateway.
  std::thread starting_;  // Last: it uses all of the above.
};

}  // namespace

int serve(const Arguments& arguments) {
  Options options;
  options.value("--config", "FILE", "what to serve, and for whom (default: config/spillway.yaml)");
  if (!options.read(arguments, "spillway serve")) return options.exit_status();
  const std::string path = options.get("--config", "config/spillway.yaml");

  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // A file that may not grow is an error like any other.
  auto loaded = load_policy(path);
  print_problems(path, loaded);
  if (!loaded.settings) return kMisused;
  if (const config::Loaded other = in_place_of(loaded); other.settings) {
    std::fprintf(stderr,
                 "spillway: %s was rolled back: what was in force before it is served; "
                 "`spillway rollout reload --force` takes the file\n",
                 path.c_str());
    loaded.settings = other.settings;
  }

  Signals signals;
  auto gateway = Gateway::start(loaded.settings, loaded.files);
  if (!gateway) {
    std::fprintf(stderr, "spillway: %s\n", gateway.error().message.c_str());
    return kFailed;
  }
  signals.run(**gateway);
  (*gateway)->stop([&signals] { return signals.hurried(); });
  return kDone;
}

}  // namespace spillway::verbs
