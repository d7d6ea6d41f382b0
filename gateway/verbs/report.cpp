// `spillway report`: what was used, spent and saved, from the book in the state directory, whether
// the gateway runs or not.
#include "config/load.h"
#include "config/value.h"
#include "gateway/account/audit.h"
#include "gateway/account/calendar.h"
#include "gateway/account/stores.h"
#include "gateway/account/usage.h"
#include "gateway/policy/price.h"
#include "gateway/telemetry/json_line.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/reconcile.h"
#include "gateway/verbs/return_on_node.h"
#include "gateway/verbs/unset_keys.h"
#include "gateway/verbs/verbs.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

namespace spillway::verbs {
namespace {

using account::Dimension;
using account::UsageRow;

constexpr const char* kVerb = "spillway report";
constexpr double kNano = 1e9;

int fail(const std::string& message, int status = 1) {
  std::fprintf(stderr, "%s: %s\n", kVerb, message.c_str());
  return status;
}

// "2026-11-01" → hours since 1970.
std::optional<std::int64_t> hour_of(const std::string& date) {
  int year = 0;
  unsigned month = 0, day = 0;
  char rest = 0;
  if (std::sscanf(date.c_str(), "%4d-%2u-%2u%c", &year, &month, &day, &rest) != 3)
    return std::nullopt;
  const std::chrono::year_month_day given{std::chrono::year(year), std::chrono::month(month),
                                          std::chrono::day(day)};
  if (!given.ok()) return std::nullopt;
  return std::int64_t{std::chrono::sys_days(given).time_since_epoch().count()} * 24;
}

std::string date_of_hour(std::int64_t hour) {
  return account::date_of(hour * account::kMillisecondsPerHour);
}

double in_usd(account::NanoUsd amount) { return static_cast<double>(amount) / kNano; }

struct Asked {
  account::UsageQuestion question;
  std::string format;
};

std::optional<Asked> asked_of(const Options& options) {
  Asked asked;
  const std::int64_t now = account::wall_milliseconds();
  asked.question.from = account::first_hour_of_month(now);
  asked.question.until = now / account::kMillisecondsPerHour + 1;
  for (const auto& [option, hour] :
       {std::pair("--from", &asked.question.from), std::pair("--until", &asked.question.until)}) {
    if (!options.has(option)) continue;
    const auto given = hour_of(options.get(option));
    if (!given) return fail(std::string(option) + ": a day such as 2026-11-01", 2), std::nullopt;
    *hour = *given;
  }
  std::istringstream names(options.get("--by", "tenant,model,class"));
  for (std::string name; std::getline(names, name, ',');) {
    const auto dimension = account::dimension_of(name);
    if (!dimension) return fail("--by: there is no '" + name + "' (try --help)", 2), std::nullopt;
    asked.question.by.push_back(*dimension);
  }
  asked.format = options.get("--format", "text");
  if (asked.format != "text" && asked.format != "csv" && asked.format != "json")
    return fail("--format: text, csv or json", 2), std::nullopt;
  return asked;
}

// Hours and days are numbers in the book.
std::string shown(Dimension dimension, const std::string& name) {
  if (dimension == Dimension::day) return date_of_hour(std::stoll(name) * 24);
  if (dimension != Dimension::hour) return name.empty() ? "-" : name;
  const std::int64_t hour = std::stoll(name);
  return date_of_hour(hour) + "T" + (hour % 24 < 10 ? "0" : "") + std::to_string(hour % 24);
}

void print_csv(const Asked& asked, const std::vector<UsageRow>& rows) {
  for (const Dimension dimension : asked.question.by)
    std::printf("%s,", std::string(name_of(dimension)).c_str());
  std::printf(
      "requests,estimated,input_tokens,cached_tokens,output_tokens,reasoning_tokens,"
      "cost_usd,local_cost_usd,avoided_usd\n");
  for (const UsageRow& row : rows) {
    for (std::size_t i = 0; i < row.names.size(); ++i)
      std::printf("%s,", shown(asked.question.by[i], row.names[i]).c_str());
    for (const std::int64_t number :
         {row.requests, row.estimated, row.prompt_tokens, row.cached_tokens, row.completion_tokens,
          row.reasoning_tokens})
      std::printf("%lld,", static_cast<long long>(number));
    std::printf("%.9f,%.9f,%.9f\n", in_usd(row.cost), in_usd(row.local_cost), in_usd(row.avoided));
  }
}

// One object a line.
void print_json(const Asked& asked, const std::vector<UsageRow>& rows) {
  for (const UsageRow& row : rows) {
    telemetry::JsonLine line;
    for (std::size_t i = 0; i < row.names.size(); ++i)
      line.text(name_of(asked.question.by[i]), shown(asked.question.by[i], row.names[i]));
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

void print_totals(const Asked& asked, const UsageRow& all) {
  const double cost = in_usd(all.cost), local = in_usd(all.local_cost), saved = in_usd(all.avoided);
  const double elsewhere = cost - local + saved;
  std::printf("%s to %s (UTC)\n\n", date_of_hour(asked.question.from).c_str(),
              date_of_hour(asked.question.until - 1).c_str());
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

void print_table(const Asked& asked, const std::vector<UsageRow>& rows) {
  std::printf("\n");
  for (const Dimension dimension : asked.question.by)
    std::printf("%-20s", std::string(name_of(dimension)).c_str());
  std::printf("%12s %14s %14s %14s %14s\n", "requests", "tokens in", "tokens out", "USD",
              "avoided USD");
  for (const UsageRow& row : rows) {
    for (std::size_t i = 0; i < row.names.size(); ++i)
      std::printf("%-20s", shown(asked.question.by[i], row.names[i]).c_str());
    std::printf("%12lld %14lld %14lld %14.6f %14.6f\n", static_cast<long long>(row.requests),
                static_cast<long long>(row.prompt_tokens),
                static_cast<long long>(row.completion_tokens), in_usd(row.cost),
                in_usd(row.avoided));
  }
}

// Where a book is: a database, or a state directory. And the node, as far as it is told of.
struct Place {
  config::Ledger ledger;
  std::string state;
  config::LocalTarget node;
  config::NanoUsd hourly = 0;  // What an hour of its work is booked at.
};

int print_audit(account::BookReader& book) {
  const auto found = account::audit(book);
  if (!found) return fail(found.error().message);
  std::printf("%lld requests, %lld entries, %.9f USD; %lld in doubt, up to %.9f USD\n",
              static_cast<long long>(found->requests), static_cast<long long>(found->entries),
              in_usd(found->amount), static_cast<long long>(found->in_doubt),
              in_usd(found->in_doubt_amount));
  for (const std::string& sentence : found->broken)
    std::printf("does not hold: %s\n", sentence.c_str());
  if (found->broken.empty()) std::printf("the book adds up\n");
  return found->broken.empty() ? 0 : 1;
}

int print_report(account::BookReader& book, const Place& place, const Options& options) {
  const auto asked = asked_of(options);
  if (!asked) return 2;
  auto rows = account::usage(book, asked->question);
  if (!rows) return fail(rows.error().message);
  if (asked->format == "csv") return print_csv(*asked, *rows), 0;
  if (asked->format == "json") return print_json(*asked, *rows), 0;
  auto totals = account::usage(book, {asked->question.from, asked->question.until, {}});
  if (!totals) return fail(totals.error().message);
  const UsageRow all = totals->empty() ? UsageRow{} : totals->front();
  print_totals(*asked, all);
  print_table(*asked, *rows);
  if (place.node.node.price == 0) return 0;
  auto days = account::usage(book, {asked->question.from, asked->question.until, {Dimension::day}});
  if (!days) return fail(days.error().message);
  print_return(place.node, {all.avoided, all.local_cost, place.hourly,
                            24.0 * static_cast<double>(days->size())});
  return 0;
}

int reconcile(account::BookReader& book, const Options& options) {
  std::ifstream file(options.get("--reconcile"));
  if (!file) return fail("cannot read " + options.get("--reconcile"));
  if (!options.has("--target")) return fail("--reconcile needs --target NAME: whose export", 2);
  std::ostringstream csv;
  csv << file.rdbuf();
  const auto same = print_reconciled(book, options.get("--target"), csv.str());
  if (!same) return fail(same.error().message);
  return *same ? 0 : 1;
}

// The place that is given, or that of the configuration. Nothing: told what is wrong.
std::optional<Place> place_of(const Options& options) {
  if (options.has("--state")) return Place{{}, options.get("--state"), {}, 0};
  const std::string path = options.get("--config", "config/spillway.yaml");
  UnsetKeys unset;  // Of all secrets only the ledger's is wanted.
  const auto loaded = config::load_file(path, unset.environment());
  if (!loaded.settings) return print_problems(path, loaded), std::nullopt;
  Place place{loaded.settings->ledger, loaded.settings->server.state, {}, 0};
  if (loaded.settings->local.empty()) return place;
  place.node = loaded.settings->local.front();
  place.hourly = policy::hourly_cost(place.node);
  if (place.state.empty() && place.ledger.postgres.empty())
    return fail(path + " sets no server.state: its ledger ends with the gateway", 2), std::nullopt;
  return place;
}

// What is said of the node beside the configuration; false: told what is wrong.
bool add_node(const Options& options, config::LocalTarget& target) {
  config::Machine& node = target.node;
  for (const auto& [option, amount] :
       {std::pair("--node", &node.price), std::pair("--per-kwh", &node.per_kwh)}) {
    if (!options.has(option)) continue;
    const auto given = config::parse_value(config::Kind::money, options.get(option));
    if (const auto* mistake = std::get_if<config::Mistake>(&given))
      return fail(std::string(option) + ": " + mistake->message, 2), false;
    *amount = std::get<std::int64_t>(std::get<config::Value>(given));
  }
  for (const auto& [option, watts] :
       {std::pair("--watts", &node.watts), std::pair("--idle-watts", &node.idle_watts)}) {
    if (!options.has(option)) continue;
    const auto given = config::parse_value(config::Kind::decimal, options.get(option));
    if (const auto* mistake = std::get_if<config::Mistake>(&given))
      return fail(std::string(option) + ": " + mistake->message, 2), false;
    *watts = std::get<double>(std::get<config::Value>(given));
  }
  return true;
}

std::unique_ptr<account::BookReader> book_at(const Place& place) {
  const std::string file = place.state + "/ledger.sqlite";
  if (place.ledger.postgres.empty() && !std::filesystem::exists(file))
    return fail("there is no book at " + file), nullptr;
  auto book = account::open_book(place.ledger, place.state);
  if (!book) return fail(book.error().message), nullptr;
  return std::move(*book);
}

void declare(Options& options) {
  options.value("--config", "FILE", "whose ledger it is")
      .value("--state", "DIRECTORY", "the state directory itself")
      .value("--from", "DAY", "2026-11-01 (default: the first of this month)")
      .value("--until", "DAY", "not included (default: now)")
      .value("--by", "A,B",
             "hour, day, tenant, key, project, class, endpoint, model, target, served, where "
             "(default: tenant,model,class)")
      .value("--format", "FORMAT", "text, csv or json (one object a line)")
      .value("--node", "AMOUNT",
             "what the machine cost: when does it pay? 15000usd (default: node.price)")
      .value("--watts", "NUMBER", "with --node: power at full work (default: node.watts)")
      .value("--idle-watts", "NUMBER", "…and with nothing to do (default: node.idle_watts)")
      .value("--per-kwh", "AMOUNT", "…and its price: 0.15usd (default: node.per_kwh)")
      .flag("--article", "the arithmetic of the article, and where it does not add up")
      .flag("--audit", "whether the book adds up")
      .value("--reconcile", "CSV", "a provider's export: where it and the book differ")
      .value("--target", "NAME", "with --reconcile: whose it is");
}

}  // namespace

int report(const Arguments& arguments) {
  Options options;
  declare(options);
  if (!options.read(arguments, kVerb)) return options.exit_status();
  if (options.has("--article")) return print_article(), 0;
  auto place = place_of(options);
  if (!place || !add_node(options, place->node)) return 2;
  const auto book = book_at(*place);
  if (!book) return 1;
  if (options.has("--audit")) return print_audit(*book);
  if (options.has("--reconcile")) return reconcile(*book, options);
  return print_report(*book, *place, options);
}

}  // namespace spillway::verbs
