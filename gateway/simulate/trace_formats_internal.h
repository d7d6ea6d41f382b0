// The formats of traces, line by line. Pure; any thread. Only for this room's trace_*.cpp.
#pragma once

#include "gateway/simulate/trace.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::simulate {

constexpr double kTicksPerSecond = 1e7;  // Azure's 100 ns.
constexpr std::int64_t kTicksPerMillisecond = 10'000;
constexpr int kTokensMax = 100'000'000;

struct ParsedRow {
  std::int64_t ticks = 0;  // From the format's own zero.
  TraceRow row;
  std::uint32_t line = 0;
};

enum class TraceFormat { azure, mooncake, servegen, generic };

// One file's rows in the order of its lines; prefix_first and words count within this file.
struct ParsedTrace {
  TraceFormat format = TraceFormat::generic;
  std::vector<ParsedRow> rows;
  std::vector<std::uint64_t> prefix_ids;
  Words words;
};

// `name` goes before errors, with the line's number.
Result<ParsedTrace> parse_trace(std::string_view name, std::string_view text);

// One line of Mooncake's; appends to `prefix_ids`. The error says what to write, without the place.
Result<ParsedRow> parse_mooncake(std::string_view line, std::vector<std::uint64_t>& prefix_ids);

// A file's contents, unpacked if it is gzip.
Result<std::string> read_packed(const std::string& path);

// A count of tokens: a whole number from 0 to kTokensMax; 0 is read as 1. Nullopt for all else.
std::optional<int> tokens_of(std::string_view text);

// Milliseconds, up to ten digits before the point, to ticks. Nullopt for all else.
std::optional<std::int64_t> milliseconds_of(std::string_view text);

// A whole number that fits; nullopt for all else.
std::optional<std::uint64_t> whole_number_of(std::string_view text);

Error trace_error(std::string message);

}  // namespace spillway::simulate
