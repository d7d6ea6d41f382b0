#include "gateway/verbs/provider_export.h"

#include "gateway/account/calendar.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace spillway::verbs {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // Spreadsheets write one.

Error lacks(const std::string& what) {
  return {Errc::invalid_request, "the export " + what, "", std::nullopt};
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

std::optional<std::size_t> column(const std::vector<std::string>& header,
                                  std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found != header.end()) return static_cast<std::size_t>(found - header.begin());
  }
  return std::nullopt;
}

// Nothing written is none of it.
std::optional<std::int64_t> tokens_of(const std::string& text) {
  if (text.empty()) return 0;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size();
  return is_whole && value >= 0 ? std::optional(value) : std::nullopt;
}

struct Amount {
  double usd = 0.0;
  double rounding = 0.0;
};

// "12.34", or "9.9e-05" as programs write small ones.
std::optional<Amount> amount_of(const std::string& text) {
  Amount amount;
  if (text.empty()) return amount;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount.usd);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(amount.usd))
    return std::nullopt;
  const auto mantissa = std::min(text.find_first_of("eE"), text.size());
  const auto point = std::min(text.find('.'), mantissa);
  int decimals = point < mantissa ? static_cast<int>(mantissa - point - 1) : 0;
  if (mantissa < text.size()) decimals -= std::atoi(text.c_str() + mantissa + 1);
  if (decimals > 0) amount.rounding = 0.5 * std::pow(10.0, -decimals);
  return amount;
}

std::optional<std::string> day_since_1970(const std::string& digits) {
  constexpr std::size_t kOfMilliseconds = 13, kOfSecondsMin = 9, kOfSecondsMax = 10;
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const bool is_fine = digits.size() == kOfMilliseconds;
  if (!is_fine && (digits.size() < kOfSecondsMin || digits.size() > kOfSecondsMax))
    return std::nullopt;
  return account::date_of(std::strtoll(digits.c_str(), nullptr, 10) * (is_fine ? 1 : 1'000));
}

// Of "T23:04:40.5-18:00" what has passed of the UTC day, which may be another than the one it is
// in. Without an offset it is in UTC.
std::chrono::minutes time_in_utc(const std::string& time) {
  int hours = 0, minutes = 0, ahead_hours = 0, ahead_minutes = 0;
  if (std::sscanf(time.c_str(), "%*c%2d:%2d", &hours, &minutes) < 1) return {};
  const std::chrono::minutes local = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  const auto sign = time.find_last_of("+-");
  if (sign == std::string::npos) return local;
  const char* ahead_by = time.c_str() + sign + 1;  // "05:30", "0530" or "05"
  if (std::sscanf(ahead_by, "%2d:%2d", &ahead_hours, &ahead_minutes) < 2)
    std::sscanf(ahead_by, "%2d%2d", &ahead_hours, &ahead_minutes);
  const auto ahead = std::chrono::hours(ahead_hours) + std::chrono::minutes(ahead_minutes);
  return time[sign] == '-' ? local + ahead : local - ahead;
}

// As "2026-11-26", in UTC where an offset is given.
std::optional<std::string> day_of(const std::string& text) {
  int year = 0, read = 0;
  unsigned month = 0, day = 0;
  const auto matches = [&](const char* format, auto*... fields) {
    return std::sscanf(text.c_str(), format, fields..., &read) == 3;
  };
  const bool is_iso = matches("%4d-%2u-%2u%n", &year, &month, &day);
  const bool is_given = is_iso || matches("%2u/%2u/%4d%n", &month, &day, &year) ||
                        (text.size() == 8 && matches("%4d%2u%2u%n", &year, &month, &day));
  if (!is_given) return day_since_1970(text);
  const auto end = static_cast<std::size_t>(read);
  const bool has_time = end < text.size() && (text[end] == 'T' || text[end] == ' ');
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok() || (end < text.size() && !has_time)) return std::nullopt;
  const std::chrono::sys_days days = date;
  const auto at = days + (has_time ? time_in_utc(text.substr(end)) : std::chrono::minutes());
  return account::date_of(std::chrono::milliseconds(at.time_since_epoch()).count());
}

struct Columns {
  std::size_t day;
  std::optional<std::size_t> model, output, cost;
  std::vector<std::size_t> input;  // Added up.
  // Of an export with a line for each type: so many of it, at that price each.
  std::optional<std::size_t> type, price;
  std::optional<std::size_t> currency;

  std::size_t last() const {
    std::size_t last = day;
    for (const auto& one : {model, output, cost, type, price, currency})
      last = std::max(last, one.value_or(0));
    for (const std::size_t one : input) last = std::max(last, one);
    return last;
  }
};

// OpenAI's, OpenRouter's, or Anthropic's, which counts what its cache did apart.
std::vector<std::size_t> input_columns(const std::vector<std::string>& header) {
  const auto one = column(header, {"input_tokens", "prompt_tokens", "tokens_prompt",
                                   "n_context_tokens_total", "tokens_in"});
  if (one) return {*one};
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header[i].starts_with("usage_input_tokens_")) all.push_back(i);
  }
  return all;
}

Result<Columns> columns_of(const std::vector<std::string>& header) {
  const auto day = column(header, {"date", "day", "start_time", "timestamp", "utc_date",
                                   "usage_date_utc", "created_at"});
  if (!day) return lacks("has no column date, day or start_time");
  Columns columns{.day = *day};
  columns.model =
      column(header, {"model", "snapshot_id", "model_name", "model_permaslug", "model_version"});
  columns.currency = column(header, {"currency", "amount_currency"});
  columns.type = column(header, {"type"});
  columns.price = column(header, {"price"});
  columns.cost = column(header, {"cost_usd", "cost", "cost_total", "amount", "amount_value"});
  if (!columns.cost && !columns.model) return lacks("has no column model");
  if (columns.type && columns.price && columns.cost) return columns;
  columns.type = columns.price = std::nullopt;
  columns.input = input_columns(header);
  columns.output =
      column(header, {"output_tokens", "completion_tokens", "tokens_completion",
                      "n_generated_tokens_total", "tokens_out", "usage_output_tokens"});
  const bool has_input = !columns.input.empty(), has_output = columns.output.has_value();
  if ((has_input || has_output || !columns.cost) && !(has_input && has_output))
    return lacks("has no columns input_tokens and output_tokens");
  return columns;
}

// A line of DeepSeek's, which has so many tokens of one type, at a price each. Others than tokens
// cost nothing.
std::string add_type(const std::vector<std::string>& fields, const Columns& columns,
                     ExportedSum& to) {
  const std::string& type = fields[*columns.type];
  if (!type.ends_with("_tokens")) return "";
  const auto tokens = tokens_of(fields[*columns.cost]);
  const auto price = amount_of(fields[*columns.price]);
  if (!tokens || !price) return "has tokens or a price that is no plain number";
  (type == "output_tokens" ? to.output : to.input) += *tokens;
  to.usd += price->usd * static_cast<double>(*tokens);
  return "";
}

// What is wrong with it; empty: nothing.
std::string add(const std::vector<std::string>& fields, const Columns& columns,
                ProviderExport& to) {
  const auto day = day_of(fields[columns.day]);
  if (!day) return "has a day that is none such as 2026-11-26 or 11/26/2026";
  const std::string currency = columns.currency ? fields[*columns.currency] : "";
  if (!currency.empty() && currency != "USD" && currency != "usd")
    return "is in " + currency + ", where the book is in USD";
  ExportedSum& sum = to.sums[{*day, columns.model ? fields[*columns.model] : std::string()}];
  if (columns.type) return add_type(fields, columns, sum);
  const auto output = columns.output ? tokens_of(fields[*columns.output]) : 0;
  const auto amount = columns.cost ? amount_of(fields[*columns.cost]) : Amount{};
  if (!output || !amount) return "has tokens or a cost that is no plain number";
  for (const std::size_t at : columns.input) {
    const auto input = tokens_of(fields[at]);
    if (!input) return "has tokens or a cost that is no plain number";
    sum.input += *input;
  }
  sum.output += *output;
  sum.usd += amount->usd;
  sum.rounding += amount->rounding;
  return "";
}

}  // namespace

Result<ProviderExport> read_provider_export(const std::string& csv) {
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  if (line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  const auto columns = columns_of(fields_of(line));
  if (!columns) return columns.error();
  ProviderExport exported;
  exported.has_costs = columns->cost.has_value();
  exported.has_tokens = columns->type || columns->output;
  exported.has_models = columns->model.has_value();
  for (int number = 2; std::getline(lines, line); ++number) {
    if (line.empty() || line == "\r") continue;
    const auto fields = fields_of(line);
    const std::string place = " in line " + std::to_string(number);
    if (fields.size() <= columns->last()) return lacks("is cut off" + place);
    const std::string wrong = add(fields, *columns, exported);
    if (!wrong.empty()) return lacks(wrong + place);
  }
  return exported;
}

}  // namespace spillway::verbs
