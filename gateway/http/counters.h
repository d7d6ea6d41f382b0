// What the HTTP layer counts. Plain atomics, written by the workers and read by the metrics at
// scrape time; relaxed order throughout, since no reader concludes anything from two of them
// together.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spillway::http {

// Why a request was refused before any handler saw it.
enum class Reject {
  malformed_line,         // Request line or a header line that is no HTTP/1.x.
  control_character,      // CTL, obs-fold, bare CR or LF in the head.
  bad_host,               // None, more than one, or not a host.
  bad_content_length,     // More than one, or not only digits.
  bad_transfer_encoding,  // Anything but one `chunked` on HTTP/1.1 without Content-Length.
  bad_chunk,              // Chunk framing, a chunk extension or a trailer.
  confusing_name,         // A header with '_' or another character that proxies read differently.
  bad_target,             // Request target that does not decode.
  bad_expectation,        // Expect other than 100-continue.
  headers_too_large,
  body_too_large,
  timeout,    // Head or body did not arrive in time.
  unwelcome,  // Of nobody that is known, and large.
  kCount,
};

// The reason's snake_case name for metric labels; static storage.
std::string_view name_of(Reject reason);

struct Counters {
  using Count = std::atomic<std::uint64_t>;

  std::atomic<std::int64_t> open_connections{0};
  std::atomic<std::int64_t> in_flight{0};  // Handlers running now.
  Count accepted{0};
  Count accept_errors{0};        // accept() failed, or the process had no descriptor left.
  Count connections_refused{0};  // Over connections_max, and none was idle.
  Count idle_closed{0};          // Made room for another at connections_max.
  Count requests{0};             // Handed to the handler.
  Count client_gone{0};          // The client hung up while its handler ran.
  Count handler_faults{0};       // A handler threw.
  Count slow_clients{0};         // Ended by the write timeout.
  Count drained{0};              // Answered 503 because the server was draining.
  std::array<Count, static_cast<std::size_t>(Reject::kCount)> parse_rejects{};

  void count(Reject reason) {
    parse_rejects[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  }
};

}  // namespace spillway::http
