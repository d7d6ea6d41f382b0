#include "gateway/account/postgres_journal.h"

#include "backends/contract/deadline.h"
#include "gateway/account/calendar.h"
#include "gateway/account/postgres_tables.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <thread>
#include <unistd.h>
#include <unordered_set>
#include <utility>

namespace spillway::account {
namespace {

using std::chrono::milliseconds;
using store::Postgres;

constexpr milliseconds kWritePatience{10'000};  // For one group.
constexpr milliseconds kReadPatience{600'000};  // An audit reads all of the book.
constexpr milliseconds kFirstPause{200};        // Between tries to connect.
constexpr milliseconds kLongestPause{2'000};

// Groups are small and the tables grow: an index is always the way, whatever the statistics say.
// Other ways are made to look so dear by it that each statement would be compiled first.
constexpr std::string_view kOnlyByIndex =
    ";SET enable_seqscan TO off;SET enable_hashjoin TO off;SET enable_mergejoin TO off;SET jit TO "
    "off";

// Of this database, as nobody else will choose it: "spillway" in ASCII.
constexpr const char* kLock = "8318264426150453625";

constexpr const char* kHolder =
    "SELECT a.application_name, a.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = "
    "current_database() AND (l.classid::bigint << 32 | l.objid::bigint) = ";

constexpr const char* kEndHolds =
    "WITH gone AS (DELETE FROM holds RETURNING *), "
    "lost AS (INSERT INTO entries SELECT began, id, 2, 0, $1::bigint, tenant, key, project, '', "
    "'', '', '', '', 0, 1, 0, 0, 0, 0, 0, held, 0 FROM gone ON CONFLICT DO NOTHING RETURNING 1) "
    "SELECT count(*) FROM lost";

constexpr const char* kSpent =
    "SELECT tenant, key, class, sum(CASE WHEN hour >= $1::bigint AND hour < $2::bigint THEN amount "
    "ELSE 0 "
    "END), sum(amount) "
    "FROM usage WHERE hour >= $3::bigint AND hour < $4::bigint GROUP BY tenant, key, "
    "class";

Error error(std::string message) { return {Errc::internal, std::move(message), "", std::nullopt}; }

// As the database's operator sees us, and as we see whoever is in our way.
std::string name_here() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host.fill(0);
  return "spillway " + std::string(host.data()) + ":" + std::to_string(getpid());
}

class PostgresJournal final : public Journal {
 public:
  explicit PostgresJournal(std::string address) : address_(std::move(address)) {}

  Result<void> connected();

  Result<Booked> book(const std::vector<Due>& settled) override;
  Result<void> write_holds(const std::vector<const Slot*>& held) override;
  Result<std::size_t> end_lost_holds(std::int64_t now) override;
  Result<std::vector<Spent>> spent(std::int64_t now) override;
  std::string_view store() const override { return "postgres"; }

 private:
  Result<void> connect();
  Result<void> become_the_writer(Postgres& connection);
  Result<std::vector<const Slot*>> pick_new(const std::vector<Due>& settled, Booked& booked);

  const std::string address_;
  std::optional<Postgres> connection_;
  std::int64_t epoch_ = 0;  // How many writers the book has had up to this one; 0: it is none yet.
  milliseconds pause_ = kFirstPause;
  TimePoint try_from_{};
  std::optional<Error> why_not_;

  // Sent on a connection that was lost before the answer: if they are in the book, they are ours.
  std::unordered_set<const Slot*> in_doubt_;
};

Result<void> PostgresJournal::connected() {
  if (connection_ && !connection_->lost()) return {};
  connection_.reset();
  if (SteadyClock::now() < try_from_) return *why_not_;
  auto opened = connect();
  if (opened) {
    pause_ = kFirstPause;
    return {};
  }
  why_not_ = opened.error();
  try_from_ = SteadyClock::now() + pause_;
  pause_ = std::min(kLongestPause, 2 * pause_);
  return opened;
}

Result<void> PostgresJournal::connect() {
  auto connection = Postgres::connect(address_, name_here(), kWritePatience);
  if (!connection) return connection.error();
  auto writer = become_the_writer(*connection);
  if (!writer) return writer;
  connection_.emplace(std::move(*connection));
  return {};
}

Result<void> PostgresJournal::become_the_writer(Postgres& connection) {
  const auto locked =
      connection.ask(std::string("SELECT pg_try_advisory_lock(") + kLock + ")::int");
  if (!locked) return locked.error();
  if (locked->front().front() != "1") {
    const auto holder = connection.ask(kHolder + std::string(kLock));
    const bool known = holder && !holder->empty();
    return error("another gateway keeps this ledger" +
                 (known ? " (" + holder->front()[0] + ")" : std::string()) +
                 ": stop it, or give this one a database of its own");
  }
  auto made = make_tables(connection);
  if (made) made = connection.run(std::string(kUseTables) + std::string(kOnlyByIndex));
  if (!made) return made;
  const bool before = epoch_ != 0;
  const auto epoch = connection.ask(before ? "SELECT epoch FROM writer"
                                           : "UPDATE writer SET epoch = epoch + 1 RETURNING epoch");
  if (!epoch) return epoch.error();
  const std::int64_t found = whole(epoch->front().front());
  if (before && found != epoch_)
    return error(
        "another gateway has written this ledger since the connection was lost: restart "
        "this one, it does not know what was spent");
  epoch_ = found;
  return {};
}

// Of those that cost something, the ones whose id is in neither the book nor the group before them.
Result<std::vector<const Slot*>> PostgresJournal::pick_new(const std::vector<Due>& settled,
                                                           Booked& booked) {
  std::vector<const Slot*> asked;
  std::set<std::pair<std::int64_t, std::string_view>> names;
  for (const Due& due : settled) {
    if (due.slot->legs_used == 0) continue;
    if (names.emplace(began(*due.slot), due.slot->id.view()).second) {
      asked.push_back(due.slot);
    } else {
      booked.repeated.push_back(due.slot);
    }
  }
  const auto rows = connection_->ask(kKnown, names_of(asked));
  if (!rows) return rows.error();
  for (const BookRow& row : *rows) {
    const Slot*& known = asked[static_cast<std::size_t>(whole(row[0])) - 1];
    if (in_doubt_.contains(known)) {
      booked.entries += known->legs_used;
    } else {
      booked.repeated.push_back(known);
    }
    known = nullptr;
  }
  std::erase(asked, nullptr);
  return asked;
}

Result<Booked> PostgresJournal::book(const std::vector<Due>& settled) {
  auto ready = connected();
  if (!ready) return ready.error();
  Booked booked;
  auto fresh = pick_new(settled, booked);
  if (!fresh) return fresh.error();
  std::vector<const Slot*> ended;
  for (const Due& due : settled) {
    if (due.hold_written) ended.push_back(due.slot);
  }
  if (!fresh->empty() || !ended.empty()) {
    const auto counted = connection_->ask(kBook, values_of(*fresh, ended));
    if (!counted) {
      if (connection_->lost()) in_doubt_.insert(fresh->begin(), fresh->end());
      return counted.error();
    }
    booked.entries += static_cast<std::size_t>(whole(counted->front().front()));
  }
  for (const Due& due : settled) in_doubt_.erase(due.slot);
  return booked;
}

Result<void> PostgresJournal::write_holds(const std::vector<const Slot*>& held) {
  auto ready = connected();
  if (!ready || held.empty()) return ready;
  const auto done = connection_->ask(kWriteHolds, holds_of(held));
  if (!done) return done.error();
  return {};
}

Result<std::size_t> PostgresJournal::end_lost_holds(std::int64_t now) {
  auto ready = connected();
  if (!ready) return ready.error();
  const auto lost = connection_->ask(kEndHolds, {std::to_string(now)});
  if (!lost) return lost.error();
  return static_cast<std::size_t>(whole(lost->front().front()));
}

Result<std::vector<Spent>> PostgresJournal::spent(std::int64_t now) {
  auto ready = connected();
  if (!ready) return ready.error();
  const auto rows =
      connection_->ask(kSpent, {std::to_string(first_hour_of_day(now)),
                                std::to_string(next_day(now) / kMillisecondsPerHour),
                                std::to_string(first_hour_of_month(now)),
                                std::to_string(next_month(now) / kMillisecondsPerHour)});
  if (!rows) return rows.error();
  std::vector<Spent> all;
  for (const BookRow& row : *rows)
    all.push_back({row[0], row[1], row[2], whole(row[3]), whole(row[4])});
  return all;
}

class PostgresBook final : public BookReader {
 public:
  explicit PostgresBook(std::string address) : address_(std::move(address)) {}

  Result<std::vector<BookRow>> ask(const std::string& query,
                                   const std::vector<std::int64_t>& values) override {
    if (!connection_ || connection_->lost()) {
      connection_.reset();
      auto made = Postgres::connect(address_, name_here() + " reads", kReadPatience);
      if (!made) return made.error();
      auto set = made->run(std::string(kUseTables) + ";SET default_transaction_read_only TO on");
      if (!set) return set.error();
      connection_.emplace(std::move(*made));
    }
    std::vector<std::string> texts;
    for (const std::int64_t value : values) texts.push_back(std::to_string(value));
    return connection_->ask(query, texts);
  }

 private:
  const std::string address_;
  std::optional<Postgres> connection_;
};

}  // namespace

Result<std::unique_ptr<Journal>> open_postgres_journal(const std::string& address,
                                                       milliseconds patience) {
  auto journal = std::make_unique<PostgresJournal>(address);
  const Deadline until = SteadyClock::now() + patience;
  auto ready = journal->connected();
  while (!ready && SteadyClock::now() < until) {
    std::this_thread::sleep_for(kFirstPause);
    ready = journal->connected();
  }
  if (ready) return journal;
  Error why = ready.error();
  why.message = "ledger.postgres: " + why.message;
  return why;
}

std::unique_ptr<BookReader> postgres_book(const std::string& address) {
  return std::make_unique<PostgresBook>(address);
}

}  // namespace spillway::account
