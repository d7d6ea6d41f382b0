// A ledger in a directory of its own, and its book as it stands on the disk.
#pragma once

#include "gateway/account/audit.h"
#include "gateway/account/journal.h"
#include "gateway/account/ledger.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::account {

inline Posting cloud_posting(NanoUsd amount, std::string_view target = "ai-hub") {
  Posting posting{"interactive", "/v1/chat/completions", "auto", 0, {}};
  posting.legs.push_back({target, "model", false, false, {100, 20, 10, 0}, amount});
  return posting;
}

class Book {
 public:
  explicit Book(const store::Directory& directory)
      : database_(*store::Database::open(directory.file("ledger.sqlite"), journal_versions())) {}

  std::int64_t number(const std::string& query) {
    auto asked = *database_.prepare(query);
    EXPECT_TRUE(asked.step().value());
    return asked.integer(0);
  }

  void expect_sound() {
    const Audit found = audit(database_).value();
    EXPECT_TRUE(found.broken.empty()) << found.broken.front();
  }

  store::Database& database() { return database_; }

 private:
  store::Database database_;
};

}  // namespace spillway::account
