// Budgets: money is put aside before it is spent; windows open anew; hard ones give what is left.
#include "gateway/account/account.h"
#include "gateway/account/calendar.h"
#include "tests/unit/account_book.h"

#include <gtest/gtest.h>

#include <thread>

namespace spillway::account {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kNoon = 1'795'694'400'000 / 86'400'000 * 86'400'000 + 43'200'000;
constexpr std::int64_t kDay = 86'400'000;

config::Budget budget(std::optional<NanoUsd> day, std::optional<NanoUsd> month) {
  config::Budget made;
  made.day = day;
  made.month = month;
  return made;
}

TEST(Purse, GrantsUpToTheLimitAndNotPastIt) {
  Purse purse;
  const config::Budget day = budget(1'000, std::nullopt);
  EXPECT_FALSE(purse.put_aside(day, 600, 600, kNoon).refusal);
  EXPECT_FALSE(purse.put_aside(day, 400, 400, kNoon).refusal);
  const auto refused = purse.put_aside(day, 1, 1, kNoon);
  ASSERT_TRUE(refused.refusal);
  EXPECT_FALSE(refused.refusal->for_good);  // Nothing is spent yet.
  purse.settle(day, 600, 600, kNoon);
  purse.settle(day, 400, 400, kNoon);
  ASSERT_TRUE(purse.put_aside(day, 1, 1, kNoon).refusal);
  EXPECT_TRUE(purse.put_aside(day, 1, 1, kNoon).refusal->for_good);
  EXPECT_FALSE(purse.put_aside(day, 0, 0, kNoon).refusal);  // What costs nothing goes on.
}

TEST(Purse, WhatWasNotNeededIsThereAgain) {
  Purse purse;
  const config::Budget day = budget(1'000, std::nullopt);
  EXPECT_EQ(purse.put_aside(day, 1'000, 1'000, kNoon).granted, 1'000);
  purse.settle(day, 1'000, 10, kNoon);
  EXPECT_EQ(purse.put_aside(day, 990, 990, kNoon).granted, 990);
}

TEST(Purse, GivesWhatIsLeftWhereLessWillDo) {
  Purse purse;
  const config::Budget month = budget(std::nullopt, 1'000);
  EXPECT_EQ(purse.put_aside(month, 100, 700, kNoon).granted, 700);
  EXPECT_EQ(purse.put_aside(month, 100, 700, kNoon).granted, 300);
  EXPECT_TRUE(purse.put_aside(month, 100, 700, kNoon).refusal);
}

TEST(Purse, TellsTheShareThatIsLeftOfTheTighterWindow) {
  Purse purse;
  const config::Budget both = budget(1'000, 10'000);
  EXPECT_EQ(purse.left(both, kNoon), 1.0);
  EXPECT_EQ(purse.left(budget(std::nullopt, std::nullopt), kNoon), 1.0);
  purse.settle(both, 0, 500, kNoon);
  EXPECT_FALSE(purse.put_aside(both, 250, 250, kNoon).refusal);
  EXPECT_EQ(purse.left(both, kNoon), 0.25);
  EXPECT_EQ(purse.left(budget(std::nullopt, 1'000), kNoon + kDay), 0.25);
  EXPECT_EQ(purse.left(both, kNoon + kDay), 0.75) << "what is held is held over midnight";
  purse.settle(both, 0, 5'000, kNoon + kDay);
  EXPECT_EQ(purse.left(both, kNoon + kDay), 0.0);
  EXPECT_EQ(purse.left(budget(0, std::nullopt), kNoon), 0.0);
}

TEST(Purse, AHoldOverMidnightIsPaidOnTheDayItEnds) {
  Purse purse;
  const config::Budget both = budget(1'000, 10'000);
  const std::int64_t before = kNoon + kDay / 2 - 1, after = before + 2;
  EXPECT_EQ(purse.put_aside(both, 600, 600, before).granted, 600);
  EXPECT_EQ(purse.put_aside(both, 100, 600, after).granted, 400) << "the new day bears it";
  purse.settle(both, 600, 250, after);
  purse.settle(both, 400, 0, after);
  EXPECT_EQ(purse.state(after).held, 0);
  EXPECT_EQ(purse.put_aside(both, 750, 750, after).granted, 750);
  EXPECT_TRUE(purse.put_aside(both, 1, 1, after).refusal) << "no more than its bill is gone";
}

TEST(Purse, TheDayOpensAnewAndTheMonthDoesNot) {
  Purse purse;
  const config::Budget both = budget(1'000, 1'500);
  purse.settle(both, 0, 1'000, kNoon);
  EXPECT_TRUE(purse.put_aside(both, 1, 1, kNoon + kDay / 2 - 1).refusal);
  EXPECT_EQ(purse.put_aside(both, 500, 500, kNoon + kDay / 2).granted, 500);
  const auto refused = purse.put_aside(both, 1, 1, kNoon + kDay);
  ASSERT_TRUE(refused.refusal);
  EXPECT_EQ(refused.refusal->window, Window::month);
  EXPECT_FALSE(purse.put_aside(both, 500, 500, next_month(kNoon)).refusal);
}

TEST(Purse, AClockSetBackOpensNoWindow) {
  Purse purse;
  const config::Budget day = budget(1'000, std::nullopt);
  purse.settle(day, 0, 1'000, kNoon);
  EXPECT_TRUE(purse.put_aside(day, 1, 1, kNoon - 3 * kDay).refusal);
}

TEST(Purse, AClockThatLeapsAheadAndBackFindsItsWindowAsItLeftIt) {
  Purse purse;
  const config::Budget day = budget(1'000, std::nullopt);
  purse.settle(day, 0, 800, kNoon);
  purse.settle(day, 0, 300, kNoon + kDay);
  EXPECT_TRUE(purse.put_aside(day, 500, 500, kNoon).refusal);
  EXPECT_TRUE(purse.put_aside(day, 800, 800, kNoon + kDay).refusal) << "nor is the other forgotten";
  purse.settle(day, 0, 1'000, kNoon + 3'000 * kDay);
  EXPECT_FALSE(purse.put_aside(day, 1'000, 1'000, kNoon + 2 * kDay).refusal)
      << "a leap of years does not shut the days between";
}

TEST(Purse, TellsWhatWentPastTheLimit) {
  Purse purse;
  const config::Budget day = budget(1'000, std::nullopt);
  purse.settle(day, 0, 1'010, kNoon);
  EXPECT_EQ(purse.state(kNoon).overshoot, 10);
  purse.settle(day, 0, 5, kNoon);
  EXPECT_EQ(purse.state(kNoon).overshoot, 15);
}

TEST(Purse, WarnsFromItsShareOn) {
  Purse purse;
  config::Budget day = budget(1'000, std::nullopt);
  purse.settle(day, 0, 799, kNoon);
  EXPECT_FALSE(purse.nearly_spent(day, kNoon));
  EXPECT_FALSE(purse.put_aside(day, 1, 1, kNoon).refusal);
  EXPECT_EQ(purse.nearly_spent(day, kNoon), Window::day);
}

TEST(Purse, AClassSpendsItsShareAndNoMore) {
  Purse purse;
  const config::Budget both = budget(1'000, 2'000);
  const ClassShare bulk{"bulk", 0.3}, chat{"chat", std::nullopt};
  EXPECT_EQ(purse.put_aside(both, 1, 500, kNoon, bulk).granted, 300);
  const auto refused = purse.put_aside(both, 1, 1, kNoon, bulk);
  ASSERT_TRUE(refused.refusal);
  EXPECT_TRUE(refused.refusal->of_class);
  EXPECT_FALSE(refused.refusal->for_good) << "it is held, not spent";
  EXPECT_EQ(refused.refusal->limit, 300);
  EXPECT_FALSE(purse.put_aside(both, 0, 0, kNoon, bulk).refusal) << "what costs nothing goes on";
  purse.settle(both, 300, 300, kNoon, "bulk");
  EXPECT_TRUE(purse.put_aside(both, 1, 1, kNoon, bulk).refusal->for_good);
  EXPECT_EQ(purse.put_aside(both, 700, 700, kNoon, chat).granted, 700) << "others have the rest";
  EXPECT_FALSE(purse.put_aside(both, 1, 1, kNoon, chat).refusal->of_class);
  purse.settle(both, 700, 0, kNoon, "chat");
  EXPECT_EQ(purse.put_aside(both, 300, 300, kNoon + kDay, bulk).granted, 300) << "the next day";
  EXPECT_EQ(purse.put_aside(both, 1, 1, kNoon + 2 * kDay, bulk).refusal->window, Window::day)
      << "what is held is held over midnight";
  purse.settle(both, 300, 300, kNoon + 2 * kDay, "bulk");
  EXPECT_EQ(purse.put_aside(both, 1, 1, kNoon + 3 * kDay, bulk).refusal->window, Window::month);
}

TEST(Purse, AShareThatComesLaterCountsWhatWasSpentBefore) {
  Purse purse;
  const config::Budget day = budget(1'000, std::nullopt);
  purse.settle(day, 0, 250, kNoon, "bulk");
  EXPECT_TRUE(purse.put_aside(day, 51, 51, kNoon, {"bulk", 0.3}).refusal);
  EXPECT_FALSE(purse.put_aside(day, 50, 50, kNoon, {"bulk", 0.3}).refusal);
  EXPECT_TRUE(purse.put_aside(day, 1, 1, kNoon, {"bulk", 0.0}).refusal);
}

TEST(Calendar, MonthsOfAllLengths) {
  const std::int64_t december = next_month(kNoon);
  EXPECT_EQ(date_of(kNoon), "2026-11-26");
  EXPECT_EQ(date_of(december), "2026-12-01");
  EXPECT_EQ(date_of(next_month(december)), "2027-01-01");
  EXPECT_EQ(date_of(next_day(december - 1)), "2026-12-01");
}

class AccountTest : public ::testing::Test {
 protected:
  void reopen() {
    account_.reset();
    account_ = open();
  }
  std::unique_ptr<Account> open() const {
    auto journal = std::move(*open_journal({}, directory_.path()));
    return std::move(*Account::open(directory_, std::move(journal), 16));
  }

  Payer payer() const { return {"acme", "demo", "", &tenant_, &key_}; }

  store::Directory directory_ = *store::Directory::open("");
  config::Budget tenant_ = budget(std::nullopt, 10'000);
  config::Budget key_ = budget(5'000, std::nullopt);
  std::unique_ptr<Account> account_ = open();
};

TEST_F(AccountTest, BothPursesMustBearIt) {
  auto first = account_->hold("req_1", payer(), 4'000, 4'000);
  ASSERT_TRUE(first);
  const auto second = account_->hold("req_2", payer(), 4'000, 4'000);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::rate_limited);  // The first may turn out cheaper.
  first->post(cloud_posting(4'000));
  const auto third = account_->hold("req_3", payer(), 4'000, 4'000);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Errc::over_budget);
  EXPECT_NE(third.error().message.find("budget of key 'demo'"), std::string::npos);
  EXPECT_EQ(account_->tenants().front().state.held, 0);  // Nothing of the refused stayed.
  EXPECT_EQ(account_->tenants().front().state.month, 4'000);
}

TEST_F(AccountTest, AHoldThatIsDroppedCostNothing) {
  {
    auto hold = account_->hold("req_1", payer(), 5'000, 5'000);
  }
  EXPECT_TRUE(account_->hold("req_2", payer(), 5'000, 5'000));
}

TEST_F(AccountTest, ARaiseNeedsRoom) {
  auto hold = account_->hold("req_1", payer(), 3'000, 3'000);
  EXPECT_TRUE(hold->raise(4'000, 4'000));
  EXPECT_EQ(hold->granted(), 4'000);
  EXPECT_TRUE(hold->raise(4'500, 9'000));
  EXPECT_EQ(hold->granted(), 5'000);
  EXPECT_FALSE(hold->raise(5'001, 5'001));
  EXPECT_EQ(hold->granted(), 5'000);
}

TEST_F(AccountTest, WhatWasSpentIsRememberedOverARestart) {
  auto hold = account_->hold("req_1", payer(), 5'000, 5'000);
  hold->post(cloud_posting(4'500));
  reopen();
  EXPECT_FALSE(account_->hold("req_2", payer(), 501, 501));
  EXPECT_TRUE(account_->hold("req_3", payer(), 500, 500));
  const Payer other{"acme", "other", "", &tenant_, nullptr};
  EXPECT_FALSE(account_->hold("req_4", other, 5'501, 5'501));
  EXPECT_TRUE(account_->hold("req_5", other, 5'500, 5'500));
}

TEST_F(AccountTest, AClassKeepsToItsShareOverARestart) {
  Payer bulk = payer();
  bulk.share = {"interactive", 0.5};  // As cloud_posting has it.
  account_->hold("req_1", bulk, 2'000, 2'000)->post(cloud_posting(2'000));
  reopen();
  EXPECT_TRUE(account_->hold("req_2", bulk, 500, 500));
  const auto refused = account_->hold("req_3", bulk, 501, 501);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::over_budget);
  EXPECT_EQ(refused.error().kind, "project_spend_limit_exceeded");
  EXPECT_NE(refused.error().message.find(
                "The share of class 'interactive', 50 % of the day's budget of key 'demo', "),
            std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(account_->hold("req_4", payer(), 3'000, 3'000)) << "of another class";
  EXPECT_EQ(account_->tenants().front().state.held, 0) << "nothing of the refused stayed";
}

TEST_F(AccountTest, WhatWasInTheBookBeforeIsNotSpentAgain) {
  account_->hold("batch_1:1", payer(), 0, 0)->post(cloud_posting(3'000));
  ASSERT_TRUE(account_->flush(5s));
  account_->hold("batch_1:1", payer(), 0, 0)->post(cloud_posting(3'000));
  ASSERT_TRUE(account_->flush(5s));
  for (int i = 0; i < 500 && account_->tenants().front().state.month != 3'000; ++i)
    std::this_thread::sleep_for(1ms);
  EXPECT_EQ(account_->tenants().front().state.month, 3'000);
}

TEST_F(AccountTest, BurstsOfManyNeverSpendMoreThanThereIs) {
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string id = std::to_string(t) + ":" + std::to_string(i);
        auto hold = account_->hold(id, payer(), 70, 70);
        if (hold) hold->post(cloud_posting(i % 2 == 0 ? 70 : 35));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Purse::State state = account_->tenants().front().state;
  EXPECT_LE(state.month, 5'000);
  EXPECT_GT(state.month, 5'000 - 70);
  EXPECT_EQ(state.overshoot, 0);
  EXPECT_EQ(state.held, 0);
}

}  // namespace
}  // namespace spillway::account
