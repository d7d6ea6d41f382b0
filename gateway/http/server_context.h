// What all workers, sessions and the listener of one server share. Immutable but for the atomics.
#pragma once

#include "gateway/http/server.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace spillway::http {

struct ServerContext {
  ServerContext(ServerOptions server_options, Handler server_handler, ErrorFormatter formatter)
      : options(std::move(server_options)),
        handler(std::move(server_handler)),
        format_error(std::move(formatter)) {}

  const ServerOptions options;
  const Handler handler;
  const ErrorFormatter format_error;
  Counters counters;
  std::atomic<bool> draining{false};

  std::mutex idle_mutex;
  std::condition_variable idle;  // Notified when the last connection has closed.
};

}  // namespace spillway::http
