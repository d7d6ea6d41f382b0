// One SQLite database: how the gateway keeps what must survive it. Write-ahead log, synchronous
// FULL: what was committed is there after a power cut.
//
// A Database and its Statements belong to one thread at a time; a call may wait for the disk, so
// that thread serves no connections. Statements must go before their Database. Values are always
// bound, never spelled into SQL. Errors name the cause, never a value: Errc::overloaded where
// the disk is full or fails, Errc::internal else.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace spillway::store {

// A prepared statement. Bind all of its values, then step until it says false; then it can be bound
// again.
class Statement {
 public:
  // Parameters and columns count from 0.
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view text);
  Statement& bind_blob(int parameter, std::string_view bytes);
  Statement& bind_null(int parameter);

  // True: there is a row. False: it is done and reset.
  Result<bool> step();

  // Steps to the end; `take()` reads each row.
  template <class Take>
  Result<void> each(Take take) {
    auto row = step();
    for (; row && *row; row = step()) take();
    if (!row) return row.error();
    return {};
  }

  // For statements without rows.
  Result<void> run() {
    return each([] {});
  }

  // Of the row that `step` found; views hold until the next call of `step`.
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  bool is_null(int column) const;

  int columns() const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  // Opens or creates the file; ":memory:" keeps it in memory. `versions[i]` is the SQL that brings
  // version i to i + 1: those that the file has not seen are run, in one transaction. Fails too if
  // the file is of a later version than these.
  static Result<Database> open(const std::string& path, const std::vector<std::string>& versions);

  // The same of a file that nobody here may write, as a copy or a snapshot is: nothing is created
  // or migrated, and a file of an older version is refused, too.
  static Result<Database> open_to_read(const std::string& path,
                                       const std::vector<std::string>& versions);

  // SQL without values; several statements may follow each other.
  Result<void> run(const std::string& sql);

  Result<Statement> prepare(std::string_view sql);

  // Rows that the last INSERT, UPDATE or DELETE changed.
  std::int64_t changed() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit Database(sqlite3* database) : database_(database) {}
  Result<void> prepare_file();
  Result<void> migrate(const std::vector<std::string>& versions);
  Result<std::int64_t> version();

  std::unique_ptr<sqlite3, Close> database_;
};

// BEGIN IMMEDIATE … COMMIT; rolled back when it goes out of scope uncommitted.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;  // Null once it is over.
};

}  // namespace spillway::store
