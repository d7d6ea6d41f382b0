// The book on disk: every entry once, and what they come to.
//
// `entries` is the truth and is only added to: each debits a tenant and credits a target with the
// same amount. `usage` (by hour) and `balances` (by account) are sums of it, brought forward in the
// same transaction. A Journal belongs to one thread at a time and may wait for the disk. What fails
// leaves the book as it was.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/slot.h"
#include "gateway/store/database.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace spillway::account {

// What somebody has spent in the day and the month of `now`.
struct Spent {
  std::string tenant;
  std::string key;
  NanoUsd day = 0;
  NanoUsd month = 0;
};

// A settled slot, and whether its hold was written down before.
struct Due {
  const Slot* slot = nullptr;
  bool hold_written = false;
};

struct Booked {
  std::size_t entries = 0;            // Legs that are new in the book.
  std::vector<const Slot*> repeated;  // Whose id was in the book before: booked no second time.
};

class Journal {
 public:
  static Result<std::unique_ptr<Journal>> open(const std::string& path);
  ~Journal();

  // All of them, in one transaction that is on the disk when this returns.
  Result<Booked> book(const std::vector<Due>& settled);

  // Writes down who may still cost something, so that a power cut leaves a trace.
  Result<void> write_holds(const std::vector<const Slot*>& held);

  // Holds whose process is gone: nobody knows what they cost. They are voided, and told in reports
  // as in doubt. Returns how many there were.
  Result<std::size_t> end_lost_holds(std::int64_t now);

  Result<std::vector<Spent>> spent(std::int64_t now);

 private:
  struct Statements;
  Journal(store::Database database, std::unique_ptr<Statements> statements);

  store::Database database_;
  std::unique_ptr<Statements> statements_;  // After the database: gone before it.
};

// The versions of the book's tables, for those who only read it.
const std::vector<std::string>& journal_versions();

}  // namespace spillway::account
