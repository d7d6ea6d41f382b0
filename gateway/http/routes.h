// Which handler answers which path and method; what no handler answers becomes 404 or 405 with
// `allow`.
//
// Filled before the server starts, read by all workers afterwards. Copies share nothing with the
// connection. HEAD is answered by the path's GET handler (the writer keeps the body back), OPTIONS
// with 204 and `allow`.
#pragma once

#include "gateway/http/server.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::http {

class Routes {
 public:
  // `spoken_header`: see ServerOptions.
  explicit Routes(ErrorFormatter format_error, std::string spoken_header = {});

  // `pattern` is a whole path ("/v1/models") or has an "{id}" ("/v1/models/{id}",
  // "/v1/batches/{id}/cancel"), which comes in Request::tail: not empty, and at the pattern's end
  // it may itself contain slashes (also sent as %2F). Exact paths win over those, and what has
  // something behind its "{id}" wins over what has not.
  void add(std::string_view method, std::string_view pattern, Handler handler);

  // The same for a body that comes piece by piece (Request::incoming), of at most so many bytes.
  void add_streamed(std::string_view method, std::string_view pattern, std::uint64_t body_bytes_max,
                    Handler handler);

  // ServerOptions::streamed_body_max. Requires: this outlives the server.
  std::optional<std::uint64_t> streamed_body_max(const Request& head) const;

  // The Handler for a Server. Requires: this outlives the server.
  boost::asio::awaitable<void> serve(Request request, ResponseWriter& out) const;

 private:
  struct Route {
    std::string method;
    std::string pattern;
    std::string path;    // What stands before "{id}".
    std::string behind;  // What stands after it.
    bool takes_tail = false;
    Handler handler;
    std::optional<std::uint64_t> streamed_body_max = {};

    bool matches(std::string_view asked) const;
    std::string tail_of(const std::string& asked) const;
  };

  const Route* find(std::string_view method, std::string_view path) const;
  std::string allowed(
      std::string_view path) const;  // "GET, HEAD, OPTIONS", or empty if the path is unknown.

  ErrorFormatter format_error_;
  std::string spoken_header_;
  std::vector<Route> routes_;  // The closest match first.
};

}  // namespace spillway::http
