// What a provider does to one request, by script: its pace and its fault, if it draws one.
//
// Pure: the same profile, script, seed and request number give the same performance, whatever the
// order in which requests are asked about.
#pragma once

#include "backends/simulated/profile.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::simulated {

enum class FaultKind {
  error,                  // HTTP `status` after `after_seconds`.
  silence,                // Not a byte, until the client leaves.
  silence_after_headers,  // The head of an answer, then nothing.
  stall,                  // Nothing more after `after_tokens`.
  cut,                    // The connection closed after `after_tokens`.
  malformed,              // A broken chunk after `after_tokens`.
  no_done,                // A whole stream without its [DONE].
  error_event,            // An error object in the stream after `after_tokens`.
  rate_limited,           // 429 with `retry_after_seconds`.
  garbage,                // 200 with an HTML page.
};

// nullopt for a name that is none of the above in snake_case.
std::optional<FaultKind> fault_kind_of(std::string_view name);
std::string_view name_of(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::error;
  double share = 1.0;  // Of all requests.
  double after_seconds = 0.2;
  int after_tokens = 3;
  int status = 503;
  double retry_after_seconds = 1.0;
};

// What becomes of batches that are made from now on.
struct BatchScript {
  double seconds = 0.0;               // Until one has ended.
  double answered = 1.0;              // Of its lines, the share that is answered by then…
  double failing = 0.0;               // …and of all lines, the first of them with 500 instead,
  double refusing = 0.0;              // …and the next of them with 400.
  std::string ends_as = "completed";  // "expired", "failed"
  int unanswered = 0;                 // So many are made, but nobody is told.
};

struct Script {
  std::vector<Fault> faults;   // A request draws at most one; shares add up.
  double slow = 1.0;           // Factor on all latencies.
  double response_mean = 0.0;  // Seconds, in place of the profile's; 0: its own.
  BatchScript batches;
  bool dead = false;  // Connections are refused, or closed without a byte.
};

struct Performance {
  double first_token_seconds = 0.0;
  double per_token_seconds = 0.0;  // Between one token and the next.
  std::optional<Fault> fault;
};

Performance perform(const Profile& profile, const Script& script, std::uint64_t seed,
                    std::uint64_t request_number, int prompt_tokens);

}  // namespace spillway::simulated
