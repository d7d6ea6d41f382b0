// One connection to a PostgreSQL database.
//
// Belongs to one thread at a time; a call waits for the database, but never longer than its
// patience: then the connection is given up. Values are always bound, never spelled into SQL.
// Errors are Errc::internal and name the cause as the database tells it, never the address or a
// password.
#pragma once

#include "backends/contract/error.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;

namespace spillway::store {

// Columns as text; NULL is empty.
using PostgresRow = std::vector<std::string>;

class Postgres {
 public:
  // `address` is a connection string: "postgresql://USER:PASSWORD@HOST/DATABASE" or "host=…
  // dbname=…". `name` is what the database's operator sees of us.
  static Result<Postgres> connect(const std::string& address, const std::string& name,
                                  std::chrono::milliseconds patience);

  // SQL without values; several statements may follow each other, and are then one transaction.
  Result<void> run(const std::string& sql);

  // One statement; `values` are its $1, $2…, as text.
  Result<std::vector<PostgresRow>> ask(const std::string& sql,
                                       const std::vector<std::string>& values = {});

  // It is over with this connection; what was asked last may have been done all the same.
  bool lost() const;

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  Postgres(pg_conn* connection, std::chrono::milliseconds patience)
      : connection_(connection), patience_(patience) {}

  Result<std::vector<PostgresRow>> answer();
  Result<void> wait_for_answer();
  Error failure() const;

  std::unique_ptr<pg_conn, Close> connection_;
  std::chrono::milliseconds patience_;
  bool given_up_ = false;
};

// A one-dimensional array in the words of PostgreSQL, value by value.
class PostgresArray {
 public:
  void add(std::int64_t value);

  // What PostgreSQL cannot keep (NUL, bytes that are no UTF-8) becomes '?'.
  void add(std::string_view text);

  std::string text() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace spillway::store
