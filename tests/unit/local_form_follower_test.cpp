// Who waits for a form that takes long, and who does not.
#include "backends/local/engine/form_follower.h"
#include "backends/local/grammar/work_limit.h"
#include "tests/unit/local_letter_model.h"

#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <future>

namespace spillway::local {
namespace {

using namespace std::chrono_literals;

// Lets one token follow: that which was accepted last, and one more.
class Counting : public grammar::Matcher {
 public:
  grammar::Mask allowed() override { return word_; }
  bool accept(std::int32_t token) override {
    word_[0] = std::uint32_t{1} << (token + 1);
    return token != 9;
  }
  bool accept(std::string_view) override { return true; }

 private:
  std::array<std::uint32_t, 1> word_{1};
};

class Gated final : public Counting {
 public:
  explicit Gated(std::shared_future<void> gate) : gate_(std::move(gate)) {}
  bool accept(std::int32_t token) override {
    gate_.wait();
    return Counting::accept(token);
  }

 private:
  const std::shared_future<void> gate_;
};

// Takes a processor, as xgrammar does: counting.
void burn(std::chrono::nanoseconds time) {
  const auto taken = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  for (const auto began = taken(); taken() - began < time;) grammar::count_work(64);
}

// Slow from some token on.
class Burning final : public Counting {
 public:
  explicit Burning(std::chrono::nanoseconds time, std::int32_t from = 0)
      : time_(time), from_(from) {}
  grammar::Mask allowed() override {
    if (last_ >= from_) burn(time_);
    return Counting::allowed();
  }
  bool accept(std::int32_t token) override {
    last_ = token;
    return Counting::accept(token);
  }

 private:
  const std::chrono::nanoseconds time_;
  const std::int32_t from_;
  std::int32_t last_ = -1;
};

template <class Made>
class Making final : public grammar::Grammar {
 public:
  explicit Making(std::function<std::unique_ptr<Made>()> make) : make_(std::move(make)) {}
  std::unique_ptr<grammar::Matcher> match() const override { return make_(); }
  std::size_t bytes() const override { return 0; }

 private:
  const std::function<std::unique_ptr<Made>()> make_;
};

template <class Matcher, class... Given>
std::shared_ptr<FormProgress> progress_for(std::string owner, Given... given) {
  return std::make_shared<FormProgress>(
      std::make_shared<Making<Matcher>>([=] { return std::make_unique<Matcher>(given...); }), "",
      std::move(owner));
}

template <class Matcher, class... Given>
std::shared_ptr<FormProgress> progress_of(Given... given) {
  return progress_for<Matcher>("", given...);
}

TEST(FormFollower, WhatFollowsIsKnownSoon) {
  FormFollower follower;
  std::vector<std::shared_ptr<FormProgress>> all;
  for (int i = 0; i < 8; ++i) all.push_back(progress_of<Counting>());
  for (int token = 0; token < 8; ++token) {
    for (const auto& one : all) follower.follow(one, token, [] {});
    follower.await(soon());
    for (const auto& one : all) {
      ASSERT_TRUE(one->known());
      EXPECT_EQ(one->allowed()[0], std::uint32_t{2} << token);
    }
  }
}

TEST(FormFollower, WhatNothingMayFollowSaysSo) {
  FormFollower follower;
  const auto progress = progress_of<Counting>();
  follower.follow(progress, 9, [] {});
  follower.await(soon());
  EXPECT_TRUE(progress->known());
  EXPECT_TRUE(progress->allowed().empty());
  EXPECT_FALSE(progress->takes_too_long());
}

TEST(FormFollower, NobodyWaitsLongerThanHeWantsTo) {
  std::promise<void> gate;
  std::atomic<int> done = 0;
  {
    FormFollower follower;
    const auto slow = progress_of<Gated>(gate.get_future().share());
    follower.follow(slow, 3, [&] { ++done; });
    follower.await(SteadyClock::now() + 1ms);
    EXPECT_FALSE(slow->known());
    EXPECT_EQ(done, 0);
    gate.set_value();
    EXPECT_TRUE(eventually([&] { return done == 1; }));
    EXPECT_TRUE(slow->known());
    EXPECT_EQ(slow->allowed()[0], 16u);
  }
}

TEST(FormFollower, AnAnswerMayEndWhileItIsFollowed) {
  std::promise<void> gate;
  std::atomic<int> done = 0;
  FormFollower follower;
  follower.follow(progress_of<Gated>(gate.get_future().share()), 3, [&] { ++done; });
  follower.follow(progress_of<Counting>(), 3, [&] { ++done; });
  gate.set_value();
  EXPECT_TRUE(eventually([&] { return done == 2; }));
}

TEST(FormFollower, WhatTakesTooLongIsGivenUp) {
  FormFollower follower;
  const auto endless = progress_of<Burning>(1h);
  std::atomic<bool> done = false;
  follower.follow(endless, 3, [&] { done = true; });
  EXPECT_TRUE(eventually([&] { return done.load(); }));
  EXPECT_TRUE(endless->known());
  EXPECT_TRUE(endless->allowed().empty());
  EXPECT_TRUE(endless->takes_too_long());
}

TEST(FormFollower, WhatTakesTooLongToBeginIsGivenUp) {
  const auto endless = progress_of<Burning>(1h, -1);
  EXPECT_TRUE(endless->known());
  EXPECT_TRUE(endless->takes_too_long());
}

TEST(FormFollower, NobodyWaitsForASlowOneAndItFindsItsPlace) {
  FormFollower follower;
  const auto slow = progress_of<Burning>(80ms, 2);
  const auto quick = progress_of<Counting>();
  for (int token = 0; token < 6; ++token) {
    std::atomic<bool> done = false;
    follower.follow(slow, token, [&] { done = true; });
    follower.follow(quick, token, [] {});
    follower.await(soon());
    ASSERT_TRUE(quick->known());
    EXPECT_TRUE(token < 2 || !slow->known());
    ASSERT_TRUE(eventually([&] { return done.load(); }));
    ASSERT_FALSE(slow->takes_too_long());
    EXPECT_EQ(slow->allowed()[0], std::uint32_t{2} << token);
  }
}

// …one of many slow ones stands behind all others that are slow.
TEST(FormFollower, TenantsTakeTurnsAtWhatIsSlow) {
  FormFollower follower;
  std::vector<std::shared_ptr<FormProgress>> all;
  for (int i = 0; i < 8; ++i) all.push_back(progress_for<Burning>("him", 40ms, 0));
  all.push_back(progress_for<Burning>("her", 40ms, 0));
  std::atomic<int> slow = 0;
  for (const auto& one : all) follower.follow(one, 0, [&] { ++slow; });
  ASSERT_TRUE(eventually([&] { return slow == 9; }));

  std::atomic<int> his = 0;
  std::atomic<int> before_hers = -1;
  for (int i = 0; i < 8; ++i) follower.follow(all[i], 1, [&] { ++his; });
  follower.follow(all[8], 1, [&] { before_hers = his.load(); });
  ASSERT_TRUE(eventually([&] { return before_hers >= 0; }));
  EXPECT_LE(before_hers, 2);
  ASSERT_TRUE(eventually([&] { return his == 8; }));
}

// It has a processor for a millisecond a token and a second more.
TEST(FormFollower, AnAnswerHasALimitInAll) {
  FormFollower follower;
  const auto slow = progress_of<Burning>(50ms);
  int tokens = 0;
  for (; tokens < 100 && !slow->takes_too_long(); ++tokens) {
    std::atomic<bool> done = false;
    follower.follow(slow, 3, [&] { done = true; });
    ASSERT_TRUE(eventually([&] { return done.load(); }));
  }
  EXPECT_GE(tokens, 15);
  EXPECT_LE(tokens, 25);
}

}  // namespace
}  // namespace spillway::local
