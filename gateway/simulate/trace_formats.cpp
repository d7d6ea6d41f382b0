#include "gateway/simulate/trace_formats_internal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

namespace spillway::simulate {

namespace {

constexpr std::string_view kTokens = "a whole number of tokens from 0 to 100000000";
constexpr std::string_view kMilliseconds = "milliseconds from 0 to 9999999999, such as 1500 or 0.5";

struct Parsing {
  ParsedRow parsed;
  std::vector<std::uint64_t>& prefix_ids;
  Words& words;
};

struct Column {
  std::string_view name;
  bool (*read)(std::string_view text, Parsing& to);
  std::string_view wanted;
};

template <class T>
bool number_of(std::string_view text, T& number) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end && !text.empty();
}

// "2023-11-16 18:17:03.9799600", the fraction of up to seven digits.
bool read_timestamp(std::string_view text, Parsing& to) {
  if (text.size() < 21 || text.size() > 27) return false;
  if (text[4] != '-' || text[7] != '-' || text[10] != ' ' || text[13] != ':' || text[16] != ':' ||
      text[19] != '.') {
    return false;
  }
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::string fraction(text.substr(20));
  fraction.resize(7, '0');
  unsigned ticks = 0;
  if (!number_of(text.substr(0, 4), year) || !number_of(text.substr(5, 2), month) ||
      !number_of(text.substr(8, 2), day) || !number_of(text.substr(11, 2), hour) ||
      !number_of(text.substr(14, 2), minute) || !number_of(text.substr(17, 2), second) ||
      !number_of(fraction, ticks) || hour > 23 || minute > 59 || second > 60) {
    return false;
  }
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day));
  if (!date.ok()) return false;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
  to.parsed.ticks = seconds * static_cast<std::int64_t>(kTicksPerSecond) + ticks;
  return true;
}

bool read_time(std::string_view text, Parsing& to) {
  const auto ticks = milliseconds_of(text);
  to.parsed.ticks = ticks.value_or(0);
  return ticks.has_value();
}

bool read_prompt(std::string_view text, Parsing& to) {
  const auto tokens = tokens_of(text);
  to.parsed.row.prompt_tokens = tokens.value_or(0);
  return tokens.has_value();
}

bool read_completion(std::string_view text, Parsing& to) {
  const auto tokens = tokens_of(text);
  to.parsed.row.completion_tokens = tokens.value_or(0);
  return tokens.has_value();
}

bool read_nothing(std::string_view, Parsing&) { return true; }

bool read_id(std::string_view text, Parsing& to) {
  // A replay of many copies numbers them on.
  return number_of(text, to.parsed.row.id) && to.parsed.row.id < (std::uint64_t{1} << 50);
}

bool read_class(std::string_view text, Parsing& to) {
  RowClass& row_class = to.parsed.row.row_class;
  if (!text.empty()) row_class = RowClass::named;
  if (text == "interactive") row_class = RowClass::interactive;
  if (text == "batch") row_class = RowClass::batch;
  to.parsed.row.told.request_class = to.words.place_of(text);
  return true;
}

template <std::uint32_t Told::* member>
bool read_word(std::string_view text, Parsing& to) {
  to.parsed.row.told.*member = to.words.place_of(text);
  return true;
}

bool read_tokens_max(std::string_view text, Parsing& to) {
  const auto tokens = tokens_of(text);
  to.parsed.row.told.tokens_max = tokens.value_or(0);
  return text.empty() || tokens;
}

bool read_deadline(std::string_view text, Parsing& to) {
  const auto ticks = milliseconds_of(text);
  if (ticks) to.parsed.row.window = static_cast<double>(*ticks) / kTicksPerSecond;
  return text.empty() || (ticks && *ticks > 0);
}

bool read_ttft_slo(std::string_view text, Parsing& to) {
  const auto ticks = milliseconds_of(text);
  to.parsed.row.own_ttft = ticks.has_value();
  if (ticks) to.parsed.row.ttft_slo = static_cast<double>(*ticks) / kTicksPerSecond;
  return text.empty() || (ticks && *ticks > 0);
}

bool read_prefix(std::string_view text, Parsing& to) {
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    if (one.empty()) continue;
    const auto id = whole_number_of(one);
    if (!id) return false;
    to.prefix_ids.push_back(*id);
    ++to.parsed.row.prefix_count;
  }
  return true;
}

constexpr std::array<Column, 3> kAzure = {
    {{"TIMESTAMP", read_timestamp, "a time such as 2023-11-16 18:17:03.9799600"},
     {"ContextTokens", read_prompt, kTokens},
     {"GeneratedTokens", read_completion, kTokens}}};
constexpr std::array<Column, 4> kServegen = {{{"t_ms", read_time, kMilliseconds},
                                              {"in_tokens", read_prompt, kTokens},
                                              {"out_tokens", read_completion, kTokens},
                                              {"client", read_nothing, ""}}};
constexpr std::array<Column, 14> kGeneric = {
    {{"id", read_id, "a whole number below 2^50"},
     {"t_ms", read_time, kMilliseconds},
     {"in_tokens", read_prompt, kTokens},
     {"out_tokens", read_completion, kTokens},
     {"class", read_class, ""},
     {"deadline_ms", read_deadline, "milliseconds above 0 from the arrival, or nothing"},
     {"ttft_slo_ms", read_ttft_slo, "milliseconds above 0, or nothing"},
     {"prefix_ids", read_prefix, "whole numbers with spaces between them, or nothing"},
     {"key", read_word<&Told::key>, ""},
     {"tenant", read_word<&Told::tenant>, ""},
     {"model", read_word<&Told::model>, ""},
     {"label", read_word<&Told::label>, ""},
     {"service_tier", read_word<&Told::service_tier>, ""},
     {"max_tokens", read_tokens_max, "a whole number of tokens up to 100000000, or nothing"}}};
constexpr std::size_t kGenericRequired = 6;

struct Header {
  TraceFormat format = TraceFormat::generic;
  std::vector<Column> columns;  // Empty for Mooncake.
};

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t at = 0; at != line.npos;) {
    const std::size_t comma = line.find(',', at);
    fields.push_back(line.substr(at, comma - at));
    at = comma == line.npos ? comma : comma + 1;
  }
  return fields;
}

// The first `required` columns in their order, the others as they come, each at most once.
std::optional<std::vector<Column>> columns_of(std::span<const std::string_view> names,
                                              std::span<const Column> known, std::size_t required) {
  if (names.size() < required) return std::nullopt;
  std::vector<Column> columns;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto column = std::ranges::find(known, names[i], &Column::name);
    if (column == known.end()) return std::nullopt;
    if (i < required && column != known.begin() + static_cast<std::ptrdiff_t>(i)) {
      return std::nullopt;
    }
    if (std::ranges::count(names, names[i]) > 1) return std::nullopt;
    columns.push_back(*column);
  }
  return columns;
}

Result<Header> header_of(std::string_view line) {
  if (line.starts_with('{')) return Header{TraceFormat::mooncake, {}};
  const auto names = split(line);
  if (auto columns = columns_of(names, kAzure, kAzure.size())) {
    return Header{TraceFormat::azure, std::move(*columns)};
  }
  if (auto columns = columns_of(names, kServegen, kServegen.size())) {
    return Header{TraceFormat::servegen, std::move(*columns)};
  }
  if (auto columns = columns_of(names, kGeneric, kGenericRequired)) {
    return Header{TraceFormat::generic, std::move(*columns)};
  }
  return trace_error(
      "is not the first line of a known trace: write the header "
      "id,t_ms,in_tokens,out_tokens,class,deadline_ms (then ttft_slo_ms, prefix_ids, key, tenant, "
      "model, label, service_tier and max_tokens, if you like), t_ms,in_tokens,out_tokens,client, "
      "or TIMESTAMP,ContextTokens,GeneratedTokens, or "
      "one JSON object a line with timestamp, input_length, output_length and hash_ids");
}

Result<ParsedRow> parse_fields(std::string_view line, const std::vector<Column>& columns,
                               ParsedTrace& trace) {
  Parsing parsing{{}, trace.prefix_ids, trace.words};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::size_t comma = line.find(',');
    const bool last = i + 1 == columns.size();
    if (last != (comma == line.npos)) {
      return trace_error("has too " + std::string(last ? "many" : "few") + " fields: write the " +
                         std::to_string(columns.size()) + " that the header names");
    }
    const std::string_view field = line.substr(0, comma);
    if (!columns[i].read(field, parsing)) {
      return trace_error(std::string(columns[i].name) + " is '" + std::string(field.substr(0, 40)) +
                         "': write " + std::string(columns[i].wanted));
    }
    line.remove_prefix(last ? line.size() : comma + 1);
  }
  return parsing.parsed;
}

}  // namespace

std::optional<int> tokens_of(std::string_view text) {
  int tokens = 0;
  if (!number_of(text, tokens) || tokens < 0 || tokens > kTokensMax) return std::nullopt;
  return std::max(1, tokens);
}

std::optional<std::int64_t> milliseconds_of(std::string_view text) {
  double milliseconds = 0.0;
  if (!number_of(text, milliseconds)) return std::nullopt;
  if (!(milliseconds >= 0.0 && milliseconds < 1e10)) return std::nullopt;
  return static_cast<std::int64_t>(milliseconds * kTicksPerMillisecond + 0.5);
}

std::optional<std::uint64_t> whole_number_of(std::string_view text) {
  std::uint64_t number = 0;
  if (!number_of(text, number)) return std::nullopt;
  return number;
}

Result<ParsedTrace> parse_trace(std::string_view name, std::string_view text) {
  ParsedTrace trace;
  std::optional<Header> header;
  std::uint32_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto fail = [&](const Error& error) {
      return trace_error(std::string(name) + ':' + std::to_string(number) + ": " + error.message);
    };
    if (!header) {
      auto found = header_of(line);
      if (!found) return fail(found.error());
      header = std::move(*found);
      if (header->format != TraceFormat::mooncake) continue;
    }
    const auto first = static_cast<std::uint32_t>(trace.prefix_ids.size());
    auto row = header->format == TraceFormat::mooncake ? parse_mooncake(line, trace.prefix_ids)
                                                       : parse_fields(line, header->columns, trace);
    if (!row) return fail(row.error());
    row->line = number;
    row->row.prefix_first = first;
    trace.rows.push_back(*row);
  }
  if (trace.rows.empty()) return trace_error(std::string(name) + ": has no requests");
  trace.format = header->format;
  return trace;
}

}  // namespace spillway::simulate
