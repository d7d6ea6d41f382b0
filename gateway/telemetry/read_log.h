// The gateway's own log, read again: each request that a policy decided about, with what was known
// of it then. Blocks on the disk; any thread.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace spillway::telemetry {

struct LoggedTarget {
  std::string name;
  bool available = true;  // It was up, had room and could answer this kind of request.
  double ttft = 0.0;      // Expected, in seconds; 0: it was not judged.
  double finish = 0.0;
};

struct LoggedAttempt {
  std::string target;
  bool failed = false;        // It gave no answer…
  bool is_its_fault = false;  // …because it was down, too slow, or had no room for anybody.
  double seconds = 0.0;       // Until its first token, or until it failed.
};

struct LoggedRequest {
  double arrived = 0.0;  // Seconds since 1970.
  std::string id, model, request_class, key_name, tenant, label, service_tier, endpoint, reason;
  bool streaming = false;
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
  std::optional<int> tokens_max;
  double per_token = 0.0;  // Seconds; 0: not told.
  std::vector<LoggedTarget> considered;
  std::vector<LoggedAttempt> attempts;
};

// Whether its first line is one of a log.
bool is_log(const std::string& path);

// The last `most` of them, in the order in which they ended. Lines that are no request's, or not
// whole, are passed over; without any request it is an error.
Result<std::vector<LoggedRequest>> read_log(
    const std::string& path, std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace spillway::telemetry
