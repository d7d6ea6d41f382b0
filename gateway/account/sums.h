// What a group of entries adds to the sums by hour and by account. For one thread.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/slot.h"
#include "gateway/store/database.h"

#include <cstdint>
#include <string>
#include <unordered_map>

namespace spillway::account {

struct SumStatements {
  store::Statement usage;
  store::Statement balance;

  static Result<SumStatements> prepare(store::Database& database);
};

class Sums {
 public:
  // A leg that is new in the book. Requires: `slot` stays as it is until `write`.
  void add(const Slot& slot, std::size_t leg);

  Result<void> write(SumStatements& statements) const;

 private:
  struct Hour {
    const Slot* slot = nullptr;  // Any of those that it sums: they have the same names.
    std::size_t leg = 0;
    std::int64_t requests = 0;
    std::int64_t estimated = 0;
    std::int64_t prompt = 0;
    std::int64_t cached = 0;
    std::int64_t completion = 0;
    std::int64_t reasoning = 0;
    NanoUsd amount = 0;
    NanoUsd avoided = 0;
  };
  struct Balance {
    NanoUsd debits = 0;
    NanoUsd credits = 0;
  };

  std::unordered_map<std::string, Hour> hours_;
  std::unordered_map<std::string, Balance> balances_;
};

}  // namespace spillway::account
