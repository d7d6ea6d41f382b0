// The book held against a provider's export: both round, by no more than they say.
#include "gateway/account/calendar.h"
#include "gateway/verbs/reconcile.h"
#include "tests/unit/account_book.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace spillway::verbs {
namespace {

using namespace std::chrono_literals;

// So many requests that began elsewhere, each then answered for a nano-dollar here.
class Reconciled : public testing::Test {
 protected:
  static constexpr int kRequests = 10;

  Reconciled() {
    auto ledger = account::open_ledger(directory_, 64).value();
    for (int i = 0; i < kRequests; ++i) {
      const auto hold = ledger->hold({"req_" + std::to_string(i), "acme", "demo", "search", 1});
      account::Posting posting = account::cloud_posting(5, "elsewhere");
      posting.legs.push_back({"here", "model", false, false, {3, 1, 0, 0}, 1});
      ledger->settle(*hold, posting);
    }
    EXPECT_TRUE(ledger->flush(5s));
    book_.emplace(directory_);
  }

  bool agrees(const std::string& target, const std::string& line) {
    const std::string csv =
        "date,model,input_tokens,output_tokens,cost_usd\n" + day() + ",model," + line + "\n";
    return print_reconciled(book_->reader(), target, csv, {}).value();
  }

  std::string day() {
    const auto rows = book_->reader().ask("SELECT max(at) FROM entries").value();
    return account::date_of(account::whole(rows[0][0]));
  }

  store::Directory directory_ = *store::Directory::open("");
  std::optional<account::Book> book_;
};

TEST_F(Reconciled, EachEntryMayBeANanoDollarOff) {
  EXPECT_TRUE(agrees("here", "30,10,0.0000000010")) << "0.1 nano-dollars each, booked as one";
  EXPECT_FALSE(agrees("here", "30,10,0.0000000220")) << "more than all of them round";
  EXPECT_TRUE(agrees("elsewhere", "1000,200,0.0000000500"));
}

TEST_F(Reconciled, TokensAreHeldAgainstTheBookByOne) {
  EXPECT_FALSE(agrees("here", "31,10,0.0000000010"));
  EXPECT_FALSE(agrees("here", "30,11,0.0000000010"));
}

}  // namespace
}  // namespace spillway::verbs
