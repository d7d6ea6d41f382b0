#include "gateway/verbs/reconcile.h"

#include "gateway/account/calendar.h"
#include "gateway/verbs/provider_export.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::verbs {
namespace {

constexpr std::int64_t kMillisecondsPerDay = 24 * account::kMillisecondsPerHour;
constexpr double kNano = 1e-9;

struct Sum {
  std::int64_t entries = 0;  // Each rounded to a nano-dollar.
  std::int64_t input = 0;
  std::int64_t output = 0;
  double usd = 0.0;
};
using Sums = std::map<std::pair<std::string, std::string>, Sum>;  // By day and model.

// Of the entries themselves, of which a request has one for each target that had a part in it.
constexpr const char* kBooked =
    "SELECT at / 86400000, target, served, count(*), sum(prompt), sum(completion), sum(amount) "
    "FROM entries WHERE phase = 1 GROUP BY at / 86400000, target, served";

Result<Sums> booked(account::BookReader& book, const std::string& target) {
  auto rows = book.ask(kBooked);
  if (!rows) return rows.error();
  Sums sums;
  for (const account::BookRow& row : *rows) {
    if (row[1] != target) continue;
    const std::int64_t day = account::whole(row[0]) * kMillisecondsPerDay;
    sums[{account::date_of(day), row[2]}] = {account::whole(row[3]), account::whole(row[4]),
                                             account::whole(row[5]),
                                             static_cast<double>(account::whole(row[6])) * kNano};
  }
  return sums;
}

// "gpt-4o-mini" of "gpt-4o-mini-2024-07-18" or "…-20240718"; as it is where it has no date.
std::string undated(const std::string& model) {
  for (const std::string_view form : {"-0000-00-00", "-00000000"}) {
    if (model.size() <= form.size()) continue;
    const std::size_t begin = model.size() - form.size();
    bool fits = true;
    for (std::size_t i = 0; i < form.size(); ++i) {
      const char c = model[begin + i];
      fits = fits && (form[i] == '-' ? c == '-' : c >= '0' && c <= '9');
    }
    if (fits) return model.substr(0, begin);
  }
  return model;
}

// Providers name the version that answered where the book has the name that was asked for.
void use_booked_names(const Sums& booked, ProviderExport& theirs) {
  std::set<std::string> names;
  for (const auto& [key, sum] : booked) names.insert(key.second);
  std::map<Sums::key_type, ExportedSum> sums;
  for (const auto& [key, sum] : theirs.sums) {
    const std::string name = undated(key.second);
    const bool known = names.count(key.second) == 0 && names.count(name) > 0;
    ExportedSum& all = sums[{key.first, known ? name : key.second}];
    all.input += sum.input;
    all.output += sum.output;
    all.usd += sum.usd;
    all.rounding += sum.rounding;
  }
  theirs.sums = std::move(sums);
}

// What an invoice can be held against: days, without their models.
Sums by_day(const Sums& sums) {
  Sums days;
  for (const auto& [key, sum] : sums) {
    Sum& day = days[{key.first, ""}];
    day.entries += sum.entries;
    day.input += sum.input;
    day.output += sum.output;
    day.usd += sum.usd;
  }
  return days;
}

// Both round: the export its amounts, the book each entry.
bool same_cost(const ExportedSum& their, const Sum& our) {
  const double rounding = their.rounding + static_cast<double>(our.entries + 1) * kNano;
  return std::abs(their.usd - our.usd) <= rounding;
}

}  // namespace

Result<bool> print_reconciled(account::BookReader& book, const std::string& target,
                              const std::string& csv, const Days& days) {
  auto theirs = read_provider_export(csv);
  if (!theirs) return theirs.error();
  if (theirs->sums.empty())
    return Error{.code = Errc::invalid_request, .message = "the export has no line but its header"};
  auto ours = booked(book, target);
  if (!ours) return ours.error();
  if (theirs->has_models) use_booked_names(*ours, *theirs);
  if (!theirs->has_models) *ours = by_day(*ours);
  const auto is_asked = [&](const std::string& day) {
    const bool begun = day >= (days.from.empty() ? theirs->sums.begin()->first.first : days.from);
    const bool over =
        days.until.empty() ? day > theirs->sums.rbegin()->first.first : day >= days.until;
    return begun && !over;
  };
  std::set<Sums::key_type> all;
  for (const auto& entry : theirs->sums) {
    if (is_asked(entry.first.first)) all.insert(entry.first);
  }
  for (const auto& entry : *ours) {
    if (is_asked(entry.first.first)) all.insert(entry.first);
  }
  int differ = 0;
  for (const auto& key : all) {
    const ExportedSum their = theirs->sums[key];
    const Sum our = (*ours)[key];
    const bool same_tokens =
        !theirs->has_tokens || (their.input == our.input && their.output == our.output);
    if (same_tokens && (!theirs->has_costs || same_cost(their, our))) continue;
    if (differ++ == 0)
      std::printf("%-10s  %-32s  %14s %14s  %14s %14s  %12s %12s\n", "day", "model", "input theirs",
                  "ours", "output theirs", "ours", "USD theirs", "ours");
    std::printf("%-10s  %-32s  %14lld %14lld  %14lld %14lld  %12.6f %12.6f\n", key.first.c_str(),
                key.second.c_str(), static_cast<long long>(their.input),
                static_cast<long long>(our.input), static_cast<long long>(their.output),
                static_cast<long long>(our.output), their.usd, our.usd);
  }
  std::printf("%zu days and models at %s, %d differ\n", all.size(), target.c_str(), differ);
  return differ == 0;
}

}  // namespace spillway::verbs
