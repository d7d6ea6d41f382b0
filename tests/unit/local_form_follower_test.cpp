// Who waits for a form that takes long, and who does not.
#include "backends/local/engine/form_follower.h"
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

// Takes a processor for as long as nobody has patience for.
class Burning final : public Counting {
 public:
  bool accept(std::int32_t token) override {
    const std::clock_t began = std::clock();
    while (std::clock() - began < CLOCKS_PER_SEC / 4) {
    }
    return Counting::accept(token);
  }
};

template <class Matcher, class... Given>
std::shared_ptr<FormProgress> progress_of(Given... given) {
  return std::make_shared<FormProgress>(std::make_unique<Matcher>(std::move(given)...));
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
  const auto burning = progress_of<Burning>();
  follower.follow(burning, 3, [] {});
  follower.await(soon());
  EXPECT_TRUE(burning->known());
  EXPECT_TRUE(burning->allowed().empty());
}

}  // namespace
}  // namespace spillway::local
