// What is known of a batch and of its lines. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::batch {

using Seconds = std::int64_t;  // Unix time, or a span of it.

// In the order of a batch's life; an end may follow at any time.
enum class State {
  validating,
  in_progress,
  finalizing,
  completed,
  failed,
  expired,
  cancelling,
  cancelled,
};
inline constexpr std::size_t kStates = 8;

std::string_view name_of(State state);

// What is wrong with an input.
struct Fault {
  std::string code;  // "invalid_json_line"
  std::string message;
  std::string param;  // Empty: none.
  int line = 0;       // From 1; 0: of the whole file.
  bool operator==(const Fault&) const = default;
};

struct Tokens {
  std::int64_t input = 0;
  std::int64_t cached = 0;  // Of these.
  std::int64_t output = 0;
  std::int64_t reasoning = 0;  // Of these.
};

struct Batch {
  std::string id;  // "batch_…"
  std::string tenant;
  std::string key_name;  // On whose account it runs.
  std::string endpoint;  // "/v1/chat/completions"
  std::string input_file;
  std::string output_file;  // Their ids from the beginning; they exist once it has ended, and only
  std::string error_file;   // if something was written to them.
  std::string metadata;     // A JSON object as the client wrote it, or empty.
  std::string model;        // Of all lines; empty until they have been looked at.
  State state = State::validating;
  State ends_as = State::completed;  // What follows finalizing or cancelling.
  Seconds created = 0;
  Seconds expires = 0;
  std::optional<Seconds> output_expires_after;
  std::optional<Seconds> in_progress, finalizing, completed, failed, expired, cancelling,
      cancelled;  // When it became so.
  int lines = 0;
  int lines_completed = 0;
  int lines_failed = 0;
  Tokens tokens;
  std::uint64_t output_bytes = 0;  // Of results that cannot be lost any more.
  std::uint64_t error_bytes = 0;
  std::vector<Fault> faults;
  int lines_answered_elsewhere = 0;  // Of those that are left: a provider says so.

  int lines_left() const { return lines - lines_completed - lines_failed; }
};

// Where a line stands in its input.
struct LineRef {
  int number = 0;  // From 1.
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::string custom_id;
};

// What came of a line.
struct LineResult {
  int number = 0;
  bool completed = false;  // False: its text belongs into the error file.
  std::string text;        // A line of JSON, without its end.
  Tokens tokens;
};

}  // namespace spillway::batch
