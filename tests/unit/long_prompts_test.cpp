// Long prompts are tokenised beside the worker, and a tenant's in turn with others'.
#include "gateway/request/long_prompts.h"

#include "gateway/request/measure.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <thread>

namespace spillway {
namespace {

namespace net = boost::asio;

constexpr std::chrono::seconds kLimit{10};

class LongPromptsTest : public ::testing::Test {
 protected:
  // Does `work`, and notes in `done_` whose it was.
  void ask(const std::string& tenant, std::function<void()> work) {
    net::co_spawn(io_, await(tenant, std::move(work)), net::detached);
  }

  net::awaitable<void> await(std::string tenant, std::function<void()> work) {
    co_await net::this_coro::throw_if_cancelled(false);
    const auto done = co_await prompts_.run(tenant, std::move(work));
    const bool left = co_await client_left();
    done_.push_back(done ? tenant : left ? "refused, and its client left" : "refused");
  }

  void run_until_done(std::size_t count) {
    const auto limit = std::chrono::steady_clock::now() + kLimit;
    while (done_.size() < count && std::chrono::steady_clock::now() < limit)
      io_.run_for(std::chrono::milliseconds(10)), io_.restart();
    ASSERT_EQ(done_.size(), count);
  }

  // Until something is asked for, the io_context has nothing to do.
  void hand_in() { io_.poll(), io_.restart(); }

  net::io_context io_{1};
  std::vector<std::string> done_;
  std::binary_semaphore gate_{0}, other_gate_{0};
  LongPrompts prompts_;
};

TEST_F(LongPromptsTest, IsDoneOnAnotherThread) {
  std::thread::id at;
  ask("a", [&] { at = std::this_thread::get_id(); });
  run_until_done(1);
  EXPECT_NE(at, std::this_thread::get_id());
  EXPECT_NE(at, std::thread::id());
}

TEST_F(LongPromptsTest, ATenantHoldsUpNobodyElse) {
  ask("greedy", [&] { gate_.acquire(); });
  for (int i = 0; i < 5; ++i) ask("greedy", [] {});
  ask("b", [] {});
  run_until_done(1);
  EXPECT_EQ(done_.front(), "b");
  gate_.release();
  run_until_done(7);
}

TEST_F(LongPromptsTest, TenantsTakeTurns) {
  ask("a", [&] { gate_.acquire(); });
  ask("blocks", [&] { other_gate_.acquire(); });
  hand_in();
  for (const char* tenant : {"a", "a", "a", "b"}) ask(tenant, [] {});
  hand_in();
  gate_.release();
  run_until_done(5);
  EXPECT_EQ(done_, (std::vector<std::string>{"a", "b", "a", "a", "a"}));
  other_gate_.release();
  run_until_done(6);
}

TEST_F(LongPromptsTest, AClientThatLeavesWaitsNoLonger) {
  ask("a", [&] { gate_.acquire(); });
  bool read = false;
  net::cancellation_signal leaves;
  net::co_spawn(io_, await("a", [&] { read = true; }),
                net::bind_cancellation_slot(leaves.slot(), net::detached));
  hand_in();
  leaves.emit(net::cancellation_type::terminal);
  run_until_done(1);
  EXPECT_EQ(done_.front(), "refused, and its client left");
  gate_.release();
  run_until_done(2);
  EXPECT_FALSE(read);
}

TEST_F(LongPromptsTest, WhoWaitsWhenItStopsIsRefused) {
  ask("a", [&] { gate_.acquire(); });
  ask("a", [] {});
  hand_in();
  std::thread stops([&] { prompts_.stop(); });
  gate_.release();
  stops.join();
  ask("b", [] {});
  run_until_done(3);
  EXPECT_EQ(done_.back(), "refused");
}

}  // namespace
}  // namespace spillway
