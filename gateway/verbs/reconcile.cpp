#include "gateway/verbs/reconcile.h"

#include "gateway/account/calendar.h"
#include "gateway/account/usage.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace spillway::verbs {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr double kCent = 0.01;

struct Sum {
  std::int64_t input = 0;
  std::int64_t output = 0;
  double usd = 0.0;
};
using Sums = std::map<std::pair<std::string, std::string>, Sum>;  // By day and model.

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

// "2026-11-26…" as it is; seconds since 1970 as their day.
std::string day_of(const std::string& text) {
  if (text.find('-') != std::string::npos) return text.substr(0, 10);
  return account::date_of(std::strtoll(text.c_str(), nullptr, 10) * 1'000);
}

Result<Sums> exported(const std::string& csv, bool& has_costs) {
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  const auto header = fields_of(line);
  const auto day = column(header, {"date", "day", "start_time", "timestamp"});
  const auto model = column(header, {"model", "snapshot_id", "model_name"});
  const auto input =
      column(header, {"input_tokens", "prompt_tokens", "n_context_tokens_total", "tokens_in"});
  const auto output = column(
      header, {"output_tokens", "completion_tokens", "n_generated_tokens_total", "tokens_out"});
  const auto cost = column(header, {"cost_usd", "cost", "amount", "amount_value"});
  if (!day) return lacks("has no column date, day or start_time");
  if (!model) return lacks("has no column model");
  if (!input || !output) return lacks("has no columns input_tokens and output_tokens");
  has_costs = cost.has_value();
  const std::size_t last = std::max({*day, *model, *input, *output, cost.value_or(0)});
  Sums sums;
  for (int number = 2; std::getline(lines, line); ++number) {
    if (line.empty() || line == "\r") continue;
    const auto fields = fields_of(line);
    if (fields.size() <= last) return lacks("is cut off in line " + std::to_string(number));
    Sum& sum = sums[{day_of(fields[*day]), fields[*model]}];
    sum.input += std::strtoll(fields[*input].c_str(), nullptr, 10);
    sum.output += std::strtoll(fields[*output].c_str(), nullptr, 10);
    if (cost) sum.usd += std::strtod(fields[*cost].c_str(), nullptr);
  }
  return sums;
}

Result<Sums> booked(account::BookReader& book, const std::string& target) {
  const account::UsageQuestion question{
      0,
      std::numeric_limits<std::int64_t>::max(),
      {account::Dimension::day, account::Dimension::target, account::Dimension::served}};
  auto rows = account::usage(book, question);
  if (!rows) return rows.error();
  Sums sums;
  for (const account::UsageRow& row : *rows) {
    if (row.names[1] != target) continue;
    const std::int64_t day = std::stoll(row.names[0]) * kSecondsPerDay * 1'000;
    sums[{account::date_of(day), row.names[2]}] = {row.prompt_tokens, row.completion_tokens,
                                                   static_cast<double>(row.cost) / 1e9};
  }
  return sums;
}

}  // namespace

Result<bool> print_reconciled(account::BookReader& book, const std::string& target,
                              const std::string& csv) {
  bool has_costs = false;
  auto theirs = exported(csv, has_costs);
  if (!theirs) return theirs.error();
  auto ours = booked(book, target);
  if (!ours) return ours.error();
  Sums all = *theirs;
  for (const auto& entry : *ours) all.insert(entry);
  int differ = 0;
  for (const auto& [key, ignored] : all) {
    const Sum their = (*theirs)[key], our = (*ours)[key];
    const bool same_cost = !has_costs || std::abs(their.usd - our.usd) < kCent;
    if (their.input == our.input && their.output == our.output && same_cost) continue;
    if (differ++ == 0)
      std::printf("%-10s  %-32s  %14s %14s  %14s %14s  %10s %10s\n", "day", "model", "input theirs",
                  "ours", "output theirs", "ours", "USD theirs", "ours");
    std::printf("%-10s  %-32s  %14lld %14lld  %14lld %14lld  %10.4f %10.4f\n", key.first.c_str(),
                key.second.c_str(), static_cast<long long>(their.input),
                static_cast<long long>(our.input), static_cast<long long>(their.output),
                static_cast<long long>(our.output), their.usd, our.usd);
  }
  std::printf("%zu days and models at %s, %d differ\n", all.size(), target.c_str(), differ);
  return differ == 0;
}

}  // namespace spillway::verbs
