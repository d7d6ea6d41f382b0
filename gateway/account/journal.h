// The book: every entry once, and what they come to. Whichever store keeps it.
//
// `entries` is the truth and is only added to: each debits a tenant and credits a target with the
// same amount. `usage` (by hour) and `balances` (by account) are sums of it, brought forward in the
// same transaction. A Journal belongs to one thread at a time and may wait for its store. What
// fails leaves the book as it was, or is found to have been done when it is tried again.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/slot.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::account {

// What somebody has spent in the day and the month of `now`; what a clock that ran ahead dated
// later belongs to neither.
struct Spent {
  std::string tenant;
  std::string key;
  std::string request_class;
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
  virtual ~Journal() = default;

  // All of them, in one transaction that is on the disk when this returns. What failed is to be
  // given again, in whatever groups, until it is booked.
  virtual Result<Booked> book(const std::vector<Due>& settled) = 0;

  // Writes down who may still cost something, so that a power cut leaves a trace.
  virtual Result<void> write_holds(const std::vector<const Slot*>& held) = 0;

  // Holds whose process is gone: nobody knows what they cost. They are voided, and told in reports
  // as in doubt. Returns how many there were.
  virtual Result<std::size_t> end_lost_holds(std::int64_t now) = 0;

  virtual Result<std::vector<Spent>> spent(std::int64_t now) = 0;

  // "sqlite", "postgres": for metrics.
  virtual std::string_view store() const = 0;
};

// When the request of `slot` stands in the book as begun. Requests stand there in the order of
// their time, so that a group of them touches few pages. Their ids are never given twice; what may
// be asked again under the same id (a batch's line after a crash) has no time, and so is found
// whenever it was.
std::int64_t began(const Slot& slot);

}  // namespace spillway::account
