#include "gateway/account/postgres_tables.h"

#include "gateway/account/journal.h"

#include <array>

namespace spillway::account {
namespace {

using store::PostgresArray;

// What a version of the tables adds to the one before. `entries` refuses to be changed.
const std::vector<std::string>& versions() {
  static const std::vector<std::string> kVersions = {
      "CREATE TABLE writer(epoch bigint NOT NULL);"
      "INSERT INTO writer VALUES (0);"
      "CREATE TABLE entries(began bigint NOT NULL, id text NOT NULL, phase bigint NOT NULL, "
      "leg bigint NOT NULL, at bigint NOT NULL, tenant text NOT NULL, key text NOT NULL, "
      "project text NOT NULL, class text NOT NULL, endpoint text NOT NULL, model text NOT NULL, "
      "target text NOT NULL, served text NOT NULL, local bigint NOT NULL, "
      "estimated bigint NOT NULL, prompt bigint NOT NULL, cached bigint NOT NULL, "
      "completion bigint NOT NULL, reasoning bigint NOT NULL, "
      "amount bigint NOT NULL CHECK(amount >= 0), held bigint NOT NULL, avoided bigint NOT NULL, "
      "PRIMARY KEY(began, id, phase, leg));"
      "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
      "$$BEGIN RAISE EXCEPTION 'entries are only added'; END$$;"
      "CREATE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON entries "
      "EXECUTE FUNCTION refuse_change();"
      "CREATE TABLE holds(id text PRIMARY KEY, began bigint NOT NULL, tenant text NOT NULL, "
      "key text NOT NULL, project text NOT NULL, held bigint NOT NULL);"
      "CREATE TABLE balances(account text PRIMARY KEY, debits bigint NOT NULL, "
      "credits bigint NOT NULL);"
      "CREATE TABLE usage(hour bigint NOT NULL, tenant text NOT NULL, key text NOT NULL, "
      "project text NOT NULL, class text NOT NULL, endpoint text NOT NULL, model text NOT NULL, "
      "target text NOT NULL, served text NOT NULL, local bigint NOT NULL, "
      "requests bigint NOT NULL, estimated bigint NOT NULL, prompt bigint NOT NULL, "
      "cached bigint NOT NULL, completion bigint NOT NULL, reasoning bigint NOT NULL, "
      "amount bigint NOT NULL, avoided bigint NOT NULL, PRIMARY KEY(hour, tenant, key, project, "
      "class, endpoint, model, target, served, local))"};
  return kVersions;
}

constexpr std::size_t kTexts = 9;     // $1 to $9: id, tenant … served.
constexpr std::size_t kNumbers = 12;  // $10 to $21: began, leg, at, local … avoided.

struct Group {
  std::array<PostgresArray, kTexts> texts;
  std::array<PostgresArray, kNumbers> numbers;

  void add(const Slot& slot, std::size_t index) {
    const Leg& leg = slot.legs[index];
    std::size_t column = 0;
    for (const std::string_view text :
         {slot.id.view(), slot.tenant.view(), slot.key.view(), slot.project.view(),
          slot.request_class.view(), slot.endpoint.view(), slot.model.view(), leg.target.view(),
          leg.model.view()})
      texts[column++].add(text);
    column = 0;
    for (const std::int64_t number : std::initializer_list<std::int64_t>{
             began(slot), static_cast<std::int64_t>(index), slot.settled_at, leg.local,
             leg.estimated, leg.usage.prompt_tokens, leg.usage.cached_tokens,
             leg.usage.completion_tokens, leg.usage.reasoning_tokens, leg.amount,
             slot.held.load(std::memory_order_relaxed), index == 0 ? slot.avoided : 0})
      numbers[column++].add(number);
  }
};

}  // namespace

const std::string kBook =
    "WITH given AS (SELECT * FROM unnest("
    "$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
    "$8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], "
    "$14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], "
    "$20::bigint[], $21::bigint[]) AS g(id, tenant, key, project, class, endpoint, model, target, "
    "served, began, leg, at, local, estimated, prompt, cached, completion, reasoning, amount, "
    "held, avoided)), "
    "booked AS (INSERT INTO entries SELECT began, id, 1, leg, at, tenant, key, project, class, "
    "endpoint, model, target, served, local, estimated, prompt, cached, completion, reasoning, "
    "amount, held, avoided FROM given ON CONFLICT DO NOTHING RETURNING *), "
    "ended AS (DELETE FROM holds WHERE id = ANY($22::text[])), "
    "summed AS (INSERT INTO usage SELECT at / 3600000, tenant, key, project, class, endpoint, "
    "model, target, served, local, sum(CASE leg WHEN 0 THEN 1 ELSE 0 END), sum(estimated), "
    "sum(prompt), sum(cached), sum(completion), sum(reasoning), sum(amount), sum(avoided) "
    "FROM booked GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 "
    "ON CONFLICT(hour, tenant, key, project, class, endpoint, model, target, served, local) "
    "DO UPDATE SET requests = usage.requests + excluded.requests, "
    "estimated = usage.estimated + excluded.estimated, prompt = usage.prompt + excluded.prompt, "
    "cached = usage.cached + excluded.cached, "
    "completion = usage.completion + excluded.completion, "
    "reasoning = usage.reasoning + excluded.reasoning, amount = usage.amount + excluded.amount, "
    "avoided = usage.avoided + excluded.avoided), "
    "balanced AS (INSERT INTO balances SELECT account, sum(debits), sum(credits) FROM ("
    "SELECT 'tenant:' || tenant AS account, amount AS debits, 0 AS credits FROM booked UNION ALL "
    "SELECT 'target:' || target, 0, amount FROM booked) AS sides GROUP BY account "
    "ON CONFLICT(account) DO UPDATE SET debits = balances.debits + excluded.debits, "
    "credits = balances.credits + excluded.credits) "
    "SELECT count(*) FROM booked";

// A subquery of its own for each: joined, the planner may walk through all of the book.
const std::string kKnown =
    "SELECT g.number FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS g(id, began, number) "
    "WHERE (SELECT e.leg FROM entries AS e WHERE e.began = g.began AND e.id = g.id AND e.phase = 1 "
    "AND e.leg = 0) IS NOT NULL";

const std::string kWriteHolds =
    "INSERT INTO holds(id, tenant, key, project, began, held) "
    "SELECT DISTINCT ON (id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], "
    "$5::bigint[], $6::bigint[]) AS g(id, tenant, key, project, began, held) "
    "ON CONFLICT(id) DO UPDATE SET held = excluded.held";

Result<void> make_tables(store::Postgres& connection) {
  auto made =
      connection.run("CREATE SCHEMA IF NOT EXISTS spillway_ledger;" + std::string(kUseTables) +
                     ";CREATE TABLE IF NOT EXISTS version(number bigint NOT NULL)");
  if (!made) return made.error();
  const auto rows = connection.ask("SELECT coalesce(max(number), 0) FROM version");
  if (!rows) return rows.error();
  const std::size_t version = std::stoul(rows->front().front());
  if (version > versions().size())
    return Error{Errc::internal, "the ledger is of a later version of Spillway", "", std::nullopt};
  for (std::size_t next = version; next < versions().size(); ++next) {
    made = connection.run(versions()[next] + ";INSERT INTO version VALUES (" +
                          std::to_string(next + 1) + ")");
    if (!made) return made.error();
  }
  return {};
}

std::vector<std::string> values_of(const std::vector<const Slot*>& settled,
                                   const std::vector<const Slot*>& ended) {
  Group group;
  PostgresArray ids;
  for (const Slot* slot : settled) {
    for (std::size_t leg = 0; leg < slot->legs_used; ++leg) group.add(*slot, leg);
  }
  for (const Slot* slot : ended) ids.add(slot->id.view());
  std::vector<std::string> values;
  for (const PostgresArray& column : group.texts) values.push_back(column.text());
  for (const PostgresArray& column : group.numbers) values.push_back(column.text());
  values.push_back(ids.text());
  return values;
}

std::vector<std::string> names_of(const std::vector<const Slot*>& slots) {
  PostgresArray ids, times;
  for (const Slot* slot : slots) {
    ids.add(slot->id.view());
    times.add(began(*slot));
  }
  return {ids.text(), times.text()};
}

std::vector<std::string> holds_of(const std::vector<const Slot*>& held) {
  PostgresArray ids, tenants, keys, projects, times, amounts;
  for (const Slot* slot : held) {
    ids.add(slot->id.view());
    tenants.add(slot->tenant.view());
    keys.add(slot->key.view());
    projects.add(slot->project.view());
    times.add(began(*slot));
    amounts.add(slot->held.load(std::memory_order_relaxed));
  }
  return {ids.text(), tenants.text(), keys.text(), projects.text(), times.text(), amounts.text()};
}

}  // namespace spillway::account
