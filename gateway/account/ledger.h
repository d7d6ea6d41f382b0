// The ledger: holds in memory that outlives the process, entries in the book on disk.
//
// `hold`, `raise` and `settle` are for any thread: no lock, no system call, no wait for the disk. A
// thread of its own carries what was settled from the outbox into the journal, many entries a
// transaction. An entry is *acknowledged* when `settle` returns: from then on a killed process
// loses it no more (it is booked at the next start, once), and a few milliseconds later, with the
// transaction, neither does a machine that loses power. A journal that cannot be written is tried
// again until it can; what is settled meanwhile waits in the outbox.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/error.h"
#include "gateway/account/journal.h"
#include "gateway/account/outbox.h"
#include "gateway/store/directory.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace spillway::account {

struct HoldTerms {
  std::string_view id;  // Of the request: what it is booked under, once and for all.
  std::string_view tenant;
  std::string_view key;
  std::string_view project;
  NanoUsd amount = 0;  // The most that it may cost.
};

struct PostedLeg {
  std::string_view target;
  std::string_view model;
  bool local = false;
  bool estimated = false;
  Usage usage;
  NanoUsd amount = 0;
};

struct Posting {
  std::string_view request_class;
  std::string_view endpoint;
  std::string_view model;
  NanoUsd avoided = 0;
  std::vector<PostedLeg> legs;  // None: it cost nothing and used nothing.
};

struct LedgerCounters {
  std::uint64_t entries = 0;   // Booked since the start.
  std::uint64_t repeated = 0;  // Not booked: their id was in the book.
  std::uint64_t commits = 0;
  std::uint64_t errors = 0;
  std::uint64_t in_doubt = 0;  // Holds that a dead process left.
  std::int64_t lag = 0;        // Settled and not booked yet.
  StepHistogram<12> append_seconds{{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}};
};

// What the ledger's thread tells; any may be empty.
struct LedgerEars {
  // What was settled and turned out to be in the book already.
  std::function<void(const Slot& slot)> repeated;
  // The journal cannot be written, and why; or, with nothing, it can again.
  std::function<void(const std::optional<Error>& why)> trouble;
};

class Ledger {
 public:
  // Books what an earlier process left in the outbox, then starts the thread.
  static Result<std::unique_ptr<Ledger>> open(const store::Directory& directory,
                                              std::unique_ptr<Journal> journal, std::size_t slots,
                                              LedgerEars ears = {});

  // Books what is settled; what cannot be booked stays for the next start.
  ~Ledger();

  // Nothing: as many requests as there are places are not booked yet.
  std::optional<Outbox::Index> hold(const HoldTerms& terms);

  // Requires: held and not settled. `raise` changes the most that it may cost.
  void raise(Outbox::Index hold, NanoUsd amount);
  void settle(Outbox::Index hold, const Posting& posting);

  // False while the journal cannot be written.
  bool writable() const { return writable_.load(std::memory_order_relaxed); }

  LedgerCounters counters() const;

  // The journal's.
  std::string_view store() const { return journal_->store(); }

  // Waits until all that was settled before is on the disk; false if that took longer.
  bool flush(std::chrono::milliseconds limit);

  // What each tenant and key had spent in this day and month, when it was opened.
  const std::vector<Spent>& spent_before() const { return spent_before_; }

 private:
  Ledger(std::unique_ptr<Outbox> outbox, std::unique_ptr<Journal> journal, LedgerEars ears);
  Result<void> recover();
  void run();
  void gather();
  void book();
  void note(const Result<Booked>& booked, TimePoint began);
  void write_old_holds();

  const std::unique_ptr<Outbox> outbox_;
  const std::unique_ptr<Journal> journal_;
  const LedgerEars ears_;
  std::vector<Spent> spent_before_;
  std::atomic<bool> writable_{true};
  std::atomic<std::int64_t> lag_{0};

  std::vector<Outbox::Index> due_;  // The thread's own: taken and not booked yet.
  std::vector<bool> hold_written_;  // By index.
  TimePoint looked_at_holds_{};

  mutable std::mutex mutex_;  // Of the waiting and the counters; never held over I/O.
  std::condition_variable arrived_;
  std::condition_variable booked_;
  LedgerCounters counters_;
  bool stopping_ = false;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace spillway::account
