// One line of a batch's input, and what is written of its answer. Pure.
#pragma once

#include "backends/contract/error.h"
#include "gateway/batch/batch.h"

#include <optional>
#include <string>
#include <string_view>

namespace spillway::batch {

inline constexpr int kLinesMax = 50'000;
inline constexpr std::size_t kLineBytesMax = 32 << 20;

struct Line {
  std::string custom_id;
  std::string model;
};

// The line as far as it can be judged alone; a Fault without its line number if it is no request
// for `endpoint`.
struct Judged {
  Line line;
  std::optional<Fault> fault;
};
Judged judge(std::string_view text, std::string_view endpoint);

// The line's `body`, byte for byte. Requires: `text` was judged to be good.
std::string_view body_of(std::string_view text);

// An answer as it was sent to the line: its status, its JSON, and the fields of the line that its
// target was not told.
struct Answer {
  std::string request_id;
  int status = 0;
  std::string body;
  std::string left_out = {};
};
LineResult result_of(const LineRef& line, const Answer& answer);

// Of a line that was not run in time.
LineResult expired_result(const LineRef& line);

}  // namespace spillway::batch
