#include "gateway/http/server.h"

#include "gateway/http/listener.h"
#include "gateway/http/server_context.h"
#include "gateway/http/worker.h"

#include <algorithm>
#include <mutex>
#include <optional>

namespace spillway::http {

class Server::Impl {
 public:
  Impl(ServerOptions options, Handler handler, ErrorFormatter format_error)
      : context_(std::move(options), std::move(handler), std::move(format_error)) {
    const int count = std::max(1, context_.options.workers);
    for (int i = 0; i < count; ++i) {
      const std::string name = context_.options.name + "-" + std::to_string(i);
      workers_.push_back(std::make_unique<Worker>(context_, name));
    }
    listener_.emplace(context_, workers_);
  }

  ~Impl() { stop(std::chrono::milliseconds(5'000)); }

  Result<void> start() {
    const auto bound = listener_->bind();
    if (!bound) return bound.error();
    listener_->start();
    for (auto& worker : workers_) worker->start();
    running_ = true;
    return {};
  }

  std::uint16_t port() const { return listener_->port(); }
  void stop_accepting() { listener_->close(); }

  void begin_drain() {
    context_.draining = true;
    listener_->close();
    for (auto& worker : workers_) worker->drain();
  }

  bool wait_idle(Deadline deadline) {
    std::unique_lock lock(context_.idle_mutex);
    return context_.idle.wait_until(
        lock, deadline, [this] { return context_.counters.open_connections.load() == 0; });
  }

  void stop(std::chrono::milliseconds grace) {
    if (!running_) return;
    running_ = false;
    begin_drain();
    for (auto& worker : workers_) worker->abort_sessions();
    wait_idle(SteadyClock::now() + grace);
    for (auto& worker : workers_) worker->stop();
  }

  const Counters& counters() const { return context_.counters; }

 private:
  ServerContext context_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<Listener> listener_;  // Destroyed before the workers whose io_context it uses.
  bool running_ = false;
};

Server::Server(ServerOptions options, Handler handler, ErrorFormatter format_error)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler),
                                   std::move(format_error))) {}

Server::~Server() = default;

Result<void> Server::start() { return impl_->start(); }
std::uint16_t Server::port() const { return impl_->port(); }
void Server::stop_accepting() { impl_->stop_accepting(); }
void Server::begin_drain() { impl_->begin_drain(); }
bool Server::wait_idle(Deadline deadline) { return impl_->wait_idle(deadline); }
void Server::stop(std::chrono::milliseconds grace) { impl_->stop(grace); }
const Counters& Server::counters() const { return impl_->counters(); }

}  // namespace spillway::http
