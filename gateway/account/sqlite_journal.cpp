#include "gateway/account/sqlite_journal.h"

#include "gateway/account/calendar.h"
#include "gateway/account/sums.h"
#include "gateway/store/database.h"

#include <optional>
#include <unistd.h>
#include <utility>

namespace spillway::account {
namespace {

constexpr std::int64_t kPost = 1;  // 2: void.

constexpr const char* kInsert =
    "INSERT INTO entries(began, id, phase, leg, at, tenant, key, project, class, endpoint, model, "
    "target, served, local, estimated, prompt, cached, completion, reasoning, amount, held, "
    "avoided) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING";

// What was written ahead is booked as void: nobody knows what it cost.
constexpr const char* kLost =
    "INSERT INTO entries(began, id, phase, leg, at, tenant, key, project, class, endpoint, model, "
    "target, served, local, estimated, prompt, cached, completion, reasoning, amount, held, "
    "avoided) SELECT began, id, 2, 0, ?, tenant, key, project, '', '', '', '', '', 0, "
    "1, 0, 0, 0, 0, 0, held, 0 FROM holds WHERE true ON CONFLICT DO NOTHING";

void bind_payer(store::Statement& statement, const Slot& slot, std::int64_t phase, std::int64_t leg,
                std::int64_t at) {
  statement.bind(0, began(slot)).bind(1, slot.id.view()).bind(2, phase).bind(3, leg).bind(4, at);
  statement.bind(5, slot.tenant.view()).bind(6, slot.key.view()).bind(7, slot.project.view());
}

void bind_work(store::Statement& statement, const Slot& slot, const Leg& leg) {
  statement.bind(8, slot.request_class.view()).bind(9, slot.endpoint.view());
  statement.bind(10, slot.model.view()).bind(11, leg.target.view()).bind(12, leg.model.view());
  const std::int64_t numbers[] = {leg.local,
                                  leg.estimated,
                                  leg.usage.prompt_tokens,
                                  leg.usage.cached_tokens,
                                  leg.usage.completion_tokens,
                                  leg.usage.reasoning_tokens,
                                  leg.amount,
                                  slot.held.load(std::memory_order_relaxed)};
  int column = 13;
  for (const std::int64_t number : numbers) statement.bind(column++, number);
}

struct Statements {
  store::Statement insert;
  store::Statement write_hold;
  store::Statement end_hold;
  SumStatements sums;

  static Result<Statements> prepare(store::Database& database);
};

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(store::Database database, Statements statements)
      : database_(std::move(database)), statements_(std::move(statements)) {}

  Result<Booked> book(const std::vector<Due>& settled) override;
  Result<void> write_holds(const std::vector<const Slot*>& held) override;
  Result<std::size_t> end_lost_holds(std::int64_t now) override;
  Result<std::vector<Spent>> spent(std::int64_t now) override;
  std::string_view store() const override { return "sqlite"; }

 private:
  store::Database database_;
  Statements statements_;  // After the database: gone before it.
};

class SqliteBook final : public BookReader {
 public:
  explicit SqliteBook(store::Database database) : database_(std::move(database)) {}

  Result<std::vector<BookRow>> ask(const std::string& query,
                                   const std::vector<std::int64_t>& values) override {
    auto asked = database_.prepare(query);
    if (!asked) return asked.error();
    for (std::size_t i = 0; i < values.size(); ++i) asked->bind(static_cast<int>(i), values[i]);
    std::vector<BookRow> rows;
    auto read = asked->each([&] {
      BookRow& row = rows.emplace_back();
      for (int column = 0; column < asked->columns(); ++column)
        row.emplace_back(asked->text(column));
    });
    if (!read) return read.error();
    return rows;
  }

 private:
  store::Database database_;
};

// The versions of the book's tables.
const std::vector<std::string>& versions() {
  static const std::vector<std::string> kVersions = {
      "CREATE TABLE entries(began INTEGER NOT NULL, id TEXT NOT NULL, phase INTEGER NOT NULL, leg "
      "INTEGER NOT NULL, "
      "at INTEGER NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, project TEXT NOT NULL, "
      "class TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, target TEXT NOT NULL, "
      "served TEXT NOT NULL, local INTEGER NOT NULL, estimated INTEGER NOT NULL, "
      "prompt INTEGER NOT NULL, cached INTEGER NOT NULL, completion INTEGER NOT NULL, "
      "reasoning INTEGER NOT NULL, amount INTEGER NOT NULL CHECK(amount >= 0), "
      "held INTEGER NOT NULL, avoided INTEGER NOT NULL, PRIMARY KEY(began, id, phase, leg)) "
      "WITHOUT ROWID;"
      "CREATE TABLE holds(id TEXT PRIMARY KEY, began INTEGER NOT NULL, tenant TEXT NOT NULL, key "
      "TEXT NOT NULL, "
      "project TEXT NOT NULL, held INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE balances(account TEXT PRIMARY KEY, debits INTEGER NOT NULL, "
      "credits INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE usage(hour INTEGER NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, "
      "project TEXT NOT NULL, class TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, "
      "target TEXT NOT NULL, served TEXT NOT NULL, local INTEGER NOT NULL, "
      "requests INTEGER NOT NULL, estimated INTEGER NOT NULL, prompt INTEGER NOT NULL, "
      "cached INTEGER NOT NULL, completion INTEGER NOT NULL, reasoning INTEGER NOT NULL, "
      "amount INTEGER NOT NULL, avoided INTEGER NOT NULL, PRIMARY KEY(hour, tenant, key, project, "
      "class, endpoint, model, target, served, local)) WITHOUT ROWID"};
  return kVersions;
}

Result<Statements> Statements::prepare(store::Database& database) {
  auto insert = database.prepare(kInsert);
  auto write_hold = database.prepare(
      "INSERT INTO holds(id, began, tenant, key, project, held) VALUES(?,?,?,?,?,?) "
      "ON CONFLICT(id) DO UPDATE SET held = excluded.held");
  auto end_hold = database.prepare("DELETE FROM holds WHERE id = ?");
  auto sums = SumStatements::prepare(database);
  if (!insert) return insert.error();
  if (!write_hold) return write_hold.error();
  if (!end_hold) return end_hold.error();
  if (!sums) return sums.error();
  return Statements{std::move(*insert), std::move(*write_hold), std::move(*end_hold),
                    std::move(*sums)};
}

Result<Booked> SqliteJournal::book(const std::vector<Due>& settled) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  Booked booked;
  Sums sums;
  store::Statement& insert = statements_.insert;
  for (const auto& [slot, hold_written] : settled) {
    for (std::size_t i = 0; i < slot->legs_used; ++i) {
      bind_payer(insert, *slot, kPost, static_cast<std::int64_t>(i), slot->settled_at);
      bind_work(insert, *slot, slot->legs[i]);
      auto done = insert.bind(21, i == 0 ? slot->avoided : 0).run();
      if (!done) return done.error();
      if (database_.changed() == 0) {
        booked.repeated.push_back(slot);
        break;
      }
      sums.add(*slot, i);
      ++booked.entries;
    }
    if (!hold_written) continue;
    auto ended = statements_.end_hold.bind(0, slot->id.view()).run();
    if (!ended) return ended.error();
  }
  auto summed = sums.write(statements_.sums);
  if (!summed) return summed.error();
  auto committed = transaction->commit();
  if (!committed) return committed.error();
  return booked;
}

Result<void> SqliteJournal::write_holds(const std::vector<const Slot*>& held) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  for (const Slot* slot : held) {
    store::Statement& write = statements_.write_hold;
    write.bind(0, slot->id.view()).bind(1, began(*slot)).bind(2, slot->tenant.view());
    write.bind(3, slot->key.view()).bind(4, slot->project.view());
    write.bind(5, slot->held.load(std::memory_order_relaxed));
    auto done = write.run();
    if (!done) return done.error();
  }
  return transaction->commit();
}

Result<std::size_t> SqliteJournal::end_lost_holds(std::int64_t now) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  std::int64_t lost = 0;
  {
    auto insert = database_.prepare(kLost);
    if (!insert) return insert.error();
    auto done = insert->bind(0, now).run();
    if (!done) return done.error();
    lost = database_.changed();
  }
  auto ended = database_.run("DELETE FROM holds");
  if (!ended) return ended.error();
  auto committed = transaction->commit();
  if (!committed) return committed.error();
  return static_cast<std::size_t>(lost);
}

Result<std::vector<Spent>> SqliteJournal::spent(std::int64_t now) {
  auto asked = database_.prepare(
      "SELECT tenant, key, class, sum(CASE WHEN hour >= ? AND hour < ? THEN amount ELSE 0 END), "
      "sum(amount) FROM usage WHERE hour >= ? AND hour < ? GROUP BY tenant, key, class");
  if (!asked) return asked.error();
  asked->bind(0, first_hour_of_day(now)).bind(1, next_day(now) / kMillisecondsPerHour);
  asked->bind(2, first_hour_of_month(now)).bind(3, next_month(now) / kMillisecondsPerHour);
  std::vector<Spent> all;
  auto read = asked->each([&] {
    all.push_back({std::string(asked->text(0)), std::string(asked->text(1)),
                   std::string(asked->text(2)), asked->integer(3), asked->integer(4)});
  });
  if (!read) return read.error();
  return all;
}

}  // namespace

Result<std::unique_ptr<Journal>> open_sqlite_journal(const std::string& path) {
  auto database = store::Database::open(path, versions());
  if (!database) return database.error();
  auto statements = Statements::prepare(*database);
  if (!statements) return statements.error();
  return std::make_unique<SqliteJournal>(std::move(*database), std::move(*statements));
}

Result<std::unique_ptr<BookReader>> open_sqlite_book(const std::string& path) {
  const std::string folder = path.substr(0, path.find_last_of('/'));
  const bool may_write = ::access(path.c_str(), F_OK) != 0 ||
                         (::access(path.c_str(), W_OK) == 0 && ::access(folder.c_str(), W_OK) == 0);
  auto database = may_write ? store::Database::open(path, versions())
                            : store::Database::open_to_read(path, versions());
  if (!database) return database.error();
  return std::make_unique<SqliteBook>(std::move(*database));
}

}  // namespace spillway::account
