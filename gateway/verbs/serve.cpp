// `spillway serve`: runs the gateway until SIGTERM or SIGINT; SIGHUP reads the configuration again.
#include "gateway/gateway.h"
#include "gateway/policy_file.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/verbs.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdio>
#include <memory>

namespace spillway::verbs {
namespace {

namespace net = boost::asio;

// Signals from its construction on; those that come while the model is loaded wait for `run`.
class Signals {
 public:
  Signals() { wait(); }

  // On the main thread: SIGHUP reloads, the first of the others ends it.
  void run(Gateway& gateway) {
    gateway_ = &gateway;
    context_.run();
  }

  // While draining: true once a second SIGTERM or SIGINT has come.
  bool hurried() {
    context_.restart();
    context_.poll();
    return ends_ > 1;
  }

 private:
  void wait() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      wait();
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
  if (!loaded.settings) return 1;

  Signals signals;
  auto gateway = Gateway::start(loaded.settings);
  if (!gateway) {
    std::fprintf(stderr, "spillway: %s\n", gateway.error().message.c_str());
    return 1;
  }
  signals.run(**gateway);
  (*gateway)->stop([&signals] { return signals.hurried(); });
  return 0;
}

}  // namespace spillway::verbs
