#include "backends/contract/bridge.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace spillway {
namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;

Delta text(std::string value) {
  Delta delta;
  delta.text = std::move(value);
  return delta;
}

struct Reading {
  std::string text;
  std::optional<Errc> error;
  bool ended = false;
};

net::awaitable<void> read_all(std::shared_ptr<Bridge> bridge, Deadline deadline, Reading& reading) {
  co_await net::this_coro::throw_if_cancelled(false);
  while (true) {
    auto piece = co_await bridge->next(deadline);
    if (!piece) {
      reading.error = piece.error().code;
      co_return;
    }
    if (!*piece) {
      reading.ended = true;
      co_return;
    }
    reading.text += (*piece)->text;
  }
}

TEST(Bridge, DeliversInOrderAcrossThreads) {
  net::io_context context(1);
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 16, [] {});
  Reading reading;
  net::co_spawn(context, read_all(bridge, SteadyClock::now() + 20s, reading), net::detached);
  std::thread producer([bridge] {
    for (int i = 0; i < 20'000; ++i) bridge->push(text("x"));
    bridge->finish();
  });
  context.run();
  producer.join();
  EXPECT_TRUE(reading.ended);
  EXPECT_EQ(reading.text.size(), 20'000u);
}

// Reads so many pieces, and is always `behind` pieces behind.
net::awaitable<void> read_behind(std::shared_ptr<Bridge> bridge, int behind, int pieces,
                                 std::string& read) {
  int pushed = 0;
  for (int i = 0; i < pieces; ++i) {
    while (pushed < i + behind) bridge->push(text(std::to_string(pushed++) + " "));
    const auto piece = co_await bridge->next(SteadyClock::now() + 20s);
    read += (*piece)->text;
  }
}

TEST(Bridge, KeepsTheOrderWhileItNeverRunsEmpty) {
  for (const int behind : {1, 2, 7, 40}) {
    net::io_context context(1);
    auto bridge = std::make_shared<Bridge>(context.get_executor(), 16, [] {});
    std::string read;
    net::co_spawn(context, read_behind(bridge, behind, 300, read), net::detached);
    context.run();
    std::string expected;
    for (int i = 0; i < 300; ++i) expected += std::to_string(i) + " ";
    EXPECT_EQ(read, expected) << behind;
  }
}

TEST(Bridge, QueuedDeltasComeBeforeTheError) {
  net::io_context context(1);
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 16, [] {});
  bridge->push(text("half"));
  bridge->fail(Error{Errc::backend_unavailable, "cut", "", std::nullopt});
  bridge->push(text("late"));
  Reading reading;
  net::co_spawn(context, read_all(bridge, SteadyClock::now() + 20s, reading), net::detached);
  context.run();
  EXPECT_EQ(reading.text, "half");
  EXPECT_EQ(reading.error, Errc::backend_unavailable);
}

TEST(Bridge, GivesUpAtTheDeadline) {
  net::io_context context(1);
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 16, [] {});
  Reading reading;
  net::co_spawn(context, read_all(bridge, SteadyClock::now() + 30ms, reading), net::detached);
  context.run();
  EXPECT_EQ(reading.error, Errc::deadline_exceeded);
}

TEST(Bridge, CancellingTheCoroutineIsAValue) {
  net::io_context context(1);
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 16, [] {});
  Reading reading;
  net::cancellation_signal signal;
  net::co_spawn(context, read_all(bridge, SteadyClock::now() + 20s, reading),
                net::bind_cancellation_slot(signal.slot(), net::detached));
  net::post(context, [&signal] { signal.emit(net::cancellation_type::terminal); });
  context.run();
  EXPECT_EQ(reading.error, Errc::cancelled);
}

TEST(Bridge, AsksForMoreOnceHalfIsTaken) {
  net::io_context context(1);
  int resumed = 0;
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 4, [&resumed] { ++resumed; });
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(bridge->full());
    bridge->push(text("x"));
  }
  EXPECT_TRUE(bridge->full());
  bridge->finish();
  Reading reading;
  net::co_spawn(context, read_all(bridge, SteadyClock::now() + 20s, reading), net::detached);
  context.run();
  EXPECT_EQ(resumed, 1);
}

TEST(Bridge, ManyBytesFillIt) {
  net::io_context context(1);
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 4, [] {});
  bridge->push(text(std::string(Bridge::kBytesMax - 1, 'x')));
  EXPECT_FALSE(bridge->full());
  bridge->push(text("x"));
  EXPECT_TRUE(bridge->full());
}

net::awaitable<void> read_left(std::shared_ptr<Bridge> bridge, Reading& reading) {
  while (true) {
    auto piece = co_await bridge->left();
    if (!piece || !*piece) co_return;
    reading.text += (*piece)->text;
  }
}

TEST(Bridge, WhoLeavesIsToldWhatIsThereWithoutWaiting) {
  net::io_context context(1);
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 4, [] {});
  bridge->push(text("a"));
  bridge->push(text("b"));
  Reading reading;
  net::co_spawn(context, read_left(bridge, reading), net::detached);
  context.poll();
  EXPECT_EQ(reading.text, "ab");
  EXPECT_TRUE(context.stopped()) << "it does not wait for more";
}

TEST(Bridge, WhoLeavesIsToldWhatTheProducerKeptBack) {
  net::io_context context(1);
  std::shared_ptr<Bridge> bridge;
  const auto go_on = [&] {
    net::post(context, [&bridge] {
      bridge->push(text("c"));
      bridge->push(text("d"));
    });
  };
  bridge = std::make_shared<Bridge>(context.get_executor(), 2, go_on);
  bridge->push(text("a"));
  bridge->push(text("b"));
  EXPECT_TRUE(bridge->full());
  Reading reading;
  const TimePoint before = SteadyClock::now();
  net::co_spawn(context, read_left(bridge, reading), net::detached);
  context.run();
  EXPECT_EQ(reading.text, "abcd");
  EXPECT_LT(SteadyClock::now() - before, 5s);
}

TEST(Bridge, DroppingTheStreamTellsTheProducerOnce) {
  net::io_context context(1);
  std::atomic<int> told = 0;
  auto bridge = std::make_shared<Bridge>(context.get_executor(), 4, [&told] { ++told; });
  {
    auto stream = stream_over(bridge, nullptr);
  }
  bridge->abandon();
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(bridge->abandoned());
  bridge->push(text("nobody reads this"));
}

}  // namespace
}  // namespace spillway
