// `spillway report`: what was used, spent and saved, from the book in the state directory, whether
// the gateway runs or not.
#include "config/load.h"
#include "config/value.h"
#include "gateway/account/audit.h"
#include "gateway/account/calendar.h"
#include "gateway/account/stores.h"
#include "gateway/account/usage.h"
#include "gateway/policy/price.h"
#include "gateway/verbs/given.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/reconcile.h"
#include "gateway/verbs/report_rows.h"
#include "gateway/verbs/return_on_node.h"
#include "gateway/verbs/unset_keys.h"
#include "gateway/verbs/verbs.h"

#include <algorithm>
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
constexpr std::int64_t kHoursPerDay = 24;

int fail(const std::string& message, int status = kFailed) {
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
  return std::int64_t{std::chrono::sys_days(given).time_since_epoch().count()} * kHoursPerDay;
}

struct Asked {
  account::UsageQuestion question;
  std::string format;
  std::int64_t now = 0;  // The hour that comes next.
};

std::optional<Asked> asked_of(const Options& options) {
  Asked asked;
  const std::int64_t now = account::wall_milliseconds();
  asked.question.from = account::first_hour_of_month(now);
  asked.now = asked.question.until = now / account::kMillisecondsPerHour + 1;
  for (const auto& [option, hour] :
       {std::pair("--from", &asked.question.from), std::pair("--until", &asked.question.until)}) {
    if (!options.has(option)) continue;
    const auto given = hour_of(options.get(option));
    if (!given)
      return fail(std::string(option) + ": a day such as 2026-11-01", kMisused), std::nullopt;
    *hour = *given;
  }
  if (asked.question.from >= asked.question.until)
    return fail("--from comes after --until: nothing lies between them", kMisused), std::nullopt;
  std::istringstream names(options.get("--by", "tenant,model,class"));
  for (std::string name; std::getline(names, name, ',');) {
    const auto dimension = account::dimension_of(name);
    if (!dimension)
      return fail("--by: there is no '" + name + "' (try --help)", kMisused), std::nullopt;
    asked.question.by.push_back(*dimension);
  }
  asked.format = options.get("--format", "text");
  if (asked.format != "text" && asked.format != "csv" && asked.format != "json")
    return fail("--format: text, csv or json", kMisused), std::nullopt;
  return asked;
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
  print_text(*found);
  return found->broken.empty() ? kDone : kFailed;
}

// What the node did, from the first day that has entries; nothing: there are none.
Result<NodeWork> work_of(account::BookReader& book, const Asked& asked, const Place& place) {
  auto question = asked.question;
  question.by = {Dimension::day};
  const auto days = account::usage(book, question);
  if (!days) return days.error();
  NodeWork work{.hourly = place.hourly};
  for (const UsageRow& day : *days) {
    work.avoided += day.avoided;
    work.booked += day.local_cost;
  }
  if (days->empty()) return work;
  work.first_hour = std::stoll(days->front().names.front()) * kHoursPerDay;
  work.hours = std::max<std::int64_t>(1, std::min(question.until, asked.now) - work.first_hour);
  return work;
}

int print_report(account::BookReader& book, const Place& place, const Options& options) {
  const auto asked = asked_of(options);
  if (!asked) return kMisused;
  const auto rows = account::usage(book, asked->question);
  if (!rows) return fail(rows.error().message);
  const auto totals = account::usage(book, {asked->question.from, asked->question.until, {}});
  if (!totals) return fail(totals.error().message);
  const auto work = work_of(book, *asked, place);
  if (!work) return fail(work.error().message);
  const NodeReturn node = return_on(place.node, *work);
  const bool has_price = place.node.node.price > 0;
  if (asked->format == "csv") {
    print_csv(asked->question.by, *rows);
    if (options.has("--node")) print_csv(node);
  } else if (asked->format == "json") {
    print_json(asked->question.by, *rows);
    if (has_price) print_json(node);
  } else {
    print_totals(asked->question, totals->empty() ? UsageRow{} : totals->front());
    print_table(asked->question.by, *rows);
    if (has_price) print_text(node);
  }
  return kDone;
}

int reconcile(account::BookReader& book, const Options& options) {
  std::ifstream file(options.get("--reconcile"));
  if (!file) return fail("cannot read " + options.get("--reconcile"), kMisused);
  if (!options.has("--target"))
    return fail("--reconcile needs --target NAME: whose export", kMisused);
  Days days;
  for (const auto& [option, day] :
       {std::pair("--from", &days.from), std::pair("--until", &days.until)}) {
    if (!options.has(option)) continue;
    const auto hour = hour_of(options.get(option));
    if (!hour) return fail(std::string(option) + ": a day such as 2026-11-01", kMisused);
    *day = account::date_of(*hour * account::kMillisecondsPerHour);
  }
  std::ostringstream csv;
  csv << file.rdbuf();
  const auto same = print_reconciled(book, options.get("--target"), csv.str(), days);
  if (!same) return fail(same.error().message, kMisused);
  return *same ? kDone : kFailed;
}

// The place that is given, or that of the configuration.
Given<Place> place_of(const Options& options) {
  if (options.has("--state") && !options.has("--config"))
    return Place{{}, options.get("--state"), {}, 0};
  const std::string path = options.get("--config", "config/spillway.yaml");
  UnsetKeys unset;  // Of all secrets only the ledger's is wanted.
  const auto loaded = config::load_file(path, unset.environment());
  if (!loaded.settings) {
    print_problems(path, loaded);
    return fail("the book alone can be read of --state DIRECTORY", kMisused);
  }
  Place place{loaded.settings->ledger, loaded.settings->server.state, {}, 0};
  if (options.has("--state")) place.ledger = {}, place.state = options.get("--state");
  if (place.state.empty() && place.ledger.postgres.empty())
    return fail(path + " sets no server.state: its ledger ends with the gateway", kMisused);
  if (loaded.settings->local.empty()) return place;
  place.node = loaded.settings->local.front();
  place.hourly = policy::hourly_cost(place.node);
  return place;
}

// The value of an option that may not be negative; false: told what is wrong with it.
template <class Number, class Field>
bool read_option(const Options& options, const char* option, config::Kind kind, Field& field) {
  if (!options.has(option)) return true;
  const auto given = config::parse_value(kind, options.get(option));
  if (const auto* mistake = std::get_if<config::Mistake>(&given))
    return fail(std::string(option) + ": " + mistake->message, kMisused), false;
  field = std::get<Number>(std::get<config::Value>(given));
  if (field >= 0) return true;
  return fail(std::string(option) + ": must not be negative", kMisused), false;
}

// What is said of the node beside the configuration; false: told what is wrong.
bool add_node(const Options& options, Place& place) {
  config::Machine& node = place.node.node;
  const bool read =
      read_option<std::int64_t>(options, "--node", config::Kind::money, node.price) &&
      read_option<std::int64_t>(options, "--per-kwh", config::Kind::money, node.per_kwh) &&
      read_option<double>(options, "--watts", config::Kind::decimal, node.watts) &&
      read_option<double>(options, "--idle-watts", config::Kind::decimal, node.idle_watts);
  if (!read) return false;
  for (const std::string option : {"--watts", "--idle-watts", "--per-kwh"}) {
    if (!options.has(option)) continue;
    if (node.price == 0)
      return fail(option + " counts in the return on a node: say its price, --node 15000usd",
                  kMisused),
             false;
    if (place.hourly == 0)
      return fail(option +
                      " needs --config with the local target's cost_per_hour or node: without it "
                      "nobody knows for how long it worked",
                  kMisused),
             false;
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
      .value("--state", "DIRECTORY", "the state directory itself, instead of the configuration's")
      .value(
          "--from", "DAY",
          "2026-11-01 (default: the first of this month; with --reconcile the export's first day)")
      .value("--until", "DAY",
             "not included (default: now; with --reconcile the day after the export's last)")
      .value("--by", "A,B",
             "hour, day, tenant, key, project, class, endpoint, model, target, served, where "
             "(default: tenant,model,class)")
      .value("--format", "FORMAT",
             "text, csv or json (one object a line; the node's, if it has a price, comes last)")
      .value("--node", "AMOUNT",
             "what the machine cost: when does it pay? 15000usd (default: node.price); in csv "
             "a second table, after an empty line")
      .value("--watts", "NUMBER", "with --config: its power at full work (default: node.watts)")
      .value("--idle-watts", "NUMBER", "…and with nothing to do (default: node.idle_watts)")
      .value("--per-kwh", "AMOUNT", "…and its price: 0.15usd (default: node.per_kwh)")
      .flag("--article", "the arithmetic of the article, and where it does not add up")
      .flag("--audit", "whether the book adds up")
      .value("--reconcile", "CSV", "a provider's export: where it and the book differ")
      .value("--target", "NAME", "with --reconcile: whose it is")
      .fails_when(
          "the book does not add up (--audit), or differs from the export (--reconcile), or "
          "could not be read");
}

// False: they do not go together (told).
bool go_together(const Options& options) {
  const int kinds = static_cast<int>(options.has("--article")) +
                    static_cast<int>(options.has("--audit")) +
                    static_cast<int>(options.has("--reconcile"));
  if (kinds > 1) return fail("--article, --audit or --reconcile: one at a time", kMisused), false;
  if (options.has("--target") && !options.has("--reconcile"))
    return fail("--target says whose export --reconcile reads; for rows by target: --by target",
                kMisused),
           false;
  if (options.has("--audit") && options.get("--format", "text") != "text")
    return fail("--audit is told as text alone", kMisused), false;
  return true;
}

}  // namespace

int report(const Arguments& arguments) {
  Options options;
  declare(options);
  if (!options.read(arguments, kVerb)) return options.exit_status();
  if (!go_together(options)) return kMisused;
  if (options.has("--article")) return print_article(), kDone;
  auto place = place_of(options);
  if (!place) return place.exit_status();
  if (!add_node(options, *place)) return kMisused;
  const auto book = book_at(*place);
  if (!book) return kMisused;
  if (options.has("--audit")) return print_audit(*book);
  if (options.has("--reconcile")) return reconcile(*book, options);
  return print_report(*book, *place, options);
}

}  // namespace spillway::verbs
