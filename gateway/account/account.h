// Who pays for what: every request holds what it may cost before it costs anything, and when it is
// over what it did cost is booked, once.
//
// Thread-safe. Nothing here waits: holds and posts are memory (ledger.h says when they are safe,
// purse.h how money is put aside). A Hold belongs to its request's coroutine; one that goes out of
// scope unposted cost nothing.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/ledger.h"
#include "gateway/account/purse.h"
#include "gateway/store/directory.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::account {

// On whose account. The budgets may be null: none. All is kept alive by the caller while the Hold
// lives.
struct Payer {
  std::string_view tenant;
  std::string_view key;
  std::string_view project;
  const config::Budget* tenant_budget = nullptr;
  const config::Budget* key_budget = nullptr;
  ClassShare share = {};  // Of both budgets.
};

class Account;

class Hold {
 public:
  Hold() = default;
  Hold(Hold&& other) noexcept { *this = std::move(other); }
  Hold& operator=(Hold&& other) noexcept;
  ~Hold();

  // What the request may cost; less than was wanted where a hard budget ends.
  NanoUsd granted() const { return granted_; }

  // It may cost more than was thought: at least `least`, `wanted` in all. Fails as `hold` does, and
  // leaves what was granted.
  Result<void> raise(NanoUsd least, NanoUsd wanted);

  // So much of it is not needed any more.
  void lower(NanoUsd by);

  // What it did cost. Once.
  void post(const Posting& posting);

  bool open() const { return account_ != nullptr; }

 private:
  friend class Account;
  void close(const Posting& posting);

  Account* account_ = nullptr;
  Outbox::Index index_ = 0;
  Payer payer_;
  Purse* tenant_ = nullptr;
  Purse* key_ = nullptr;
  NanoUsd granted_ = 0;
};

// A payer's money as metrics show it.
struct PurseGauge {
  std::string tenant;
  Purse::State state;
};

class Account {
 public:
  // `requests_max` may be under way at once. `trouble`, which may be empty, hears of the ledger's
  // (LedgerEars), on its thread.
  static Result<std::unique_ptr<Account>> open(
      const store::Directory& directory, std::unique_ptr<Journal> journal, int requests_max,
      std::function<void(const std::optional<Error>& why)> trouble = {});

  // Puts aside what `id` may cost: `wanted`, or at least `least` where a hard budget has no more.
  // over_budget: it is spent; rate_limited: running requests hold the rest; overloaded: the ledger
  // is too far behind.
  Result<Hold> hold(std::string_view id, const Payer& payer, NanoUsd least, NanoUsd wanted);

  // The same for what is owed already, whatever the budget says by now.
  Result<Hold> owed(std::string_view id, const Payer& payer, NanoUsd amount);

  // In a few words, if the payer is near the end of a budget; else empty.
  std::string warning(const Payer& payer);

  // Purse::left, of tenant and key the smaller.
  double left(const Payer& payer);

  // False while the ledger cannot be written: nothing that costs money should be begun.
  bool writable() const { return ledger_->writable(); }

  LedgerCounters ledger() const { return ledger_->counters(); }
  std::string_view store() const { return ledger_->store(); }
  std::vector<PurseGauge> tenants() const;
  bool flush(std::chrono::milliseconds limit) { return ledger_->flush(limit); }

 private:
  friend class Hold;
  using Purses = std::map<std::string, std::unique_ptr<Purse>, std::less<>>;

  Account() = default;
  void take_back(const Slot& slot);
  Purse& purse(Purses& purses, std::string_view name);
  std::optional<Error> put_aside(Hold& hold, NanoUsd least, NanoUsd wanted);
  Hold begin(const Payer& payer);
  Result<Hold> enter(std::string_view id, Hold hold);

  mutable std::shared_mutex mutex_;  // Of the tables; a purse, once there, stays.
  Purses tenants_;
  Purses keys_;
  std::unique_ptr<Ledger> ledger_;  // Last: its thread uses all of the above.
};

}  // namespace spillway::account
