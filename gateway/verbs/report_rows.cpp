#include "gateway/verbs/report_rows.h"

#include "gateway/account/calendar.h"
#include "gateway/telemetry/json_line.h"

#include <cstdint>
#include <cstdio>
#include <string>

namespace spillway::verbs {
namespace {

using account::Dimension;
using account::in_usd;
using account::UsageRow;

std::string date_of_hour(std::int64_t hour) {
  return account::date_of(hour * account::kMillisecondsPerHour);
}

// Hours and days are numbers in the book.
std::string shown(Dimension dimension, const std::string& name) {
  if (dimension == Dimension::day) return date_of_hour(std::stoll(name) * 24);
  if (dimension != Dimension::hour) return name.empty() ? "-" : name;
  const std::int64_t hour = std::stoll(name);
  return date_of_hour(hour) + "T" + (hour % 24 < 10 ? "0" : "") + std::to_string(hour % 24);
}

}  // namespace

void print_csv(const Dimensions& by, const std::vector<UsageRow>& rows) {
  for (const Dimension dimension : by) std::printf("%s,", std::string(name_of(dimension)).c_str());
  std::printf(
      "requests,estimated,input_tokens,cached_tokens,output_tokens,reasoning_tokens,"
      "cost_usd,local_cost_usd,avoided_usd\n");
  for (const UsageRow& row : rows) {
    for (std::size_t i = 0; i < row.names.size(); ++i)
      std::printf("%s,", shown(by[i], row.names[i]).c_str());
    for (const std::int64_t number :
         {row.requests, row.estimated, row.prompt_tokens, row.cached_tokens, row.completion_tokens,
          row.reasoning_tokens})
      std::printf("%lld,", static_cast<long long>(number));
    std::printf("%.9f,%.9f,%.9f\n", in_usd(row.cost), in_usd(row.local_cost), in_usd(row.avoided));
  }
}

void print_json(const Dimensions& by, const std::vector<UsageRow>& rows) {
  for (const UsageRow& row : rows) {
    telemetry::JsonLine line;
    for (std::size_t i = 0; i < row.names.size(); ++i)
      line.text(name_of(by[i]), shown(by[i], row.names[i]));
    line.integer("requests", row.requests);
    line.integer("estimated", row.estimated);
    line.integer("input_tokens", row.prompt_tokens);
    line.integer("cached_tokens", row.cached_tokens);
    line.integer("output_tokens", row.completion_tokens);
    line.integer("reasoning_tokens", row.reasoning_tokens);
    line.integer("cost_nano_usd", row.cost);
    line.integer("local_cost_nano_usd", row.local_cost);
    line.integer("avoided_nano_usd", row.avoided);
    std::fputs(line.finish().c_str(), stdout);
  }
}

void print_totals(const account::UsageQuestion& asked, const UsageRow& all) {
  const double cost = in_usd(all.cost), local = in_usd(all.local_cost), saved = in_usd(all.avoided);
  const double elsewhere = cost - local + saved;
  std::printf("%s to %s (UTC)\n\n", date_of_hour(asked.from).c_str(),
              date_of_hour(asked.until - 1).c_str());
  std::printf("  requests   %12lld, of which %lld had to be counted here\n",
              static_cast<long long>(all.requests), static_cast<long long>(all.estimated));
  std::printf("  tokens     %12lld in (%lld cached), %lld out\n",
              static_cast<long long>(all.prompt_tokens), static_cast<long long>(all.cached_tokens),
              static_cast<long long>(all.completion_tokens));
  std::printf("  spent      %12.6f USD, of which %.6f at the local engine\n", cost, local);
  std::printf(
      "  avoided    %12.6f USD: what the cheapest provider would have asked for what was "
      "served here\n",
      saved);
  if (elsewhere > 0.0)
    std::printf("  all-cloud  %12.6f USD, of which %.1f %% were saved\n", elsewhere,
                100.0 * (elsewhere - cost) / elsewhere);
}

void print_table(const Dimensions& by, const std::vector<UsageRow>& rows) {
  std::printf("\n");
  for (const Dimension dimension : by)
    std::printf("%-20s", std::string(name_of(dimension)).c_str());
  std::printf("%12s %14s %14s %14s %14s\n", "requests", "tokens in", "tokens out", "USD",
              "avoided USD");
  for (const UsageRow& row : rows) {
    for (std::size_t i = 0; i < row.names.size(); ++i)
      std::printf("%-20s", shown(by[i], row.names[i]).c_str());
    std::printf("%12lld %14lld %14lld %14.6f %14.6f\n", static_cast<long long>(row.requests),
                static_cast<long long>(row.prompt_tokens),
                static_cast<long long>(row.completion_tokens), in_usd(row.cost),
                in_usd(row.avoided));
  }
}

void print_text(const account::Audit& found) {
  std::printf("%lld requests, %lld entries, %.9f USD; %lld in doubt, up to %.9f USD\n",
              static_cast<long long>(found.requests), static_cast<long long>(found.entries),
              in_usd(found.amount), static_cast<long long>(found.in_doubt),
              in_usd(found.in_doubt_amount));
  for (const std::string& sentence : found.broken)
    std::printf("does not hold: %s\n", sentence.c_str());
  if (found.broken.empty()) std::printf("the book adds up\n");
}

}  // namespace spillway::verbs
