// A ledger in a directory of its own, and its book as it stands on the disk.
#pragma once

#include "gateway/account/audit.h"
#include "gateway/account/ledger.h"
#include "gateway/account/stores.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::account {

inline Posting cloud_posting(NanoUsd amount, std::string_view target = "ai-hub") {
  Posting posting{"interactive", "/v1/chat/completions", "auto", 0, {}};
  posting.legs.push_back({target, "model", false, false, {100, 20, 10, 0}, amount});
  return posting;
}

inline Result<std::unique_ptr<Ledger>> open_ledger(const store::Directory& directory,
                                                   std::size_t slots, LedgerEars ears = {}) {
  auto journal = open_journal({}, directory.path());
  if (!journal) return journal.error();
  return Ledger::open(directory, std::move(*journal), slots, std::move(ears));
}

class Book {
 public:
  explicit Book(const store::Directory& directory)
      : reader_(std::move(*open_book({}, directory.path()))) {}

  std::int64_t number(const std::string& query) {
    return whole(reader_->ask(query).value().front().front());
  }

  void expect_sound() {
    const Audit found = audit(*reader_).value();
    EXPECT_TRUE(found.broken.empty()) << found.broken.front();
  }

  BookReader& reader() { return *reader_; }

 private:
  std::unique_ptr<BookReader> reader_;
};

}  // namespace spillway::account
