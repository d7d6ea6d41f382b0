// What matters of a response's head: status, media type, when to come back, what is left.
//
// Pure; one a response, one thread.
#pragma once

#include "backends/cloud/rate_headers.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::cloud {

class ResponseHead {
 public:
  static constexpr std::size_t kBytesMax = 256 << 10;

  // A header line as it came; a status line starts over (after 100 Continue). False once the lines
  // are over kBytesMax together.
  [[nodiscard]] bool take(std::string_view line);

  int status() const { return status_; }  // 0 before the status line.
  bool ok() const { return status_ >= 200 && status_ < 300; }

  // Lower case, without parameters.
  const std::string& media_type() const { return media_type_; }

  // From retry-after-ms, else retry-after in seconds, else its date less the response's own Date,
  // so that no clock of ours is asked. Between 0 and a day.
  std::optional<std::chrono::milliseconds> retry_after() const;

  // See RateHeaders.
  RateLeft rate_left() const;

 private:
  void begin(std::string_view status_line);
  void note(std::string_view name, std::string_view value);

  std::size_t bytes_ = 0;
  int status_ = 0;
  std::string media_type_;
  std::string retry_after_;
  std::string retry_after_ms_;
  std::string date_;
  RateHeaders rates_;
};

}  // namespace spillway::cloud
