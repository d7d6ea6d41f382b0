// Frames through memory that two threads share, as two processes do: none lost, none torn, and a
// writer who lies is found out.
#include "backends/isolated/line.h"
#include "backends/isolated/ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <poll.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace spillway::isolated {
namespace {

constexpr std::size_t kCapacity = 256;

class Ring : public testing::Test {
 protected:
  struct alignas(64) Memory {
    RingHead head;
    char bytes[kCapacity] = {};
  };
  Memory memory_;
  RingWriter writer_{&memory_.head, kCapacity, -1};
  RingReader reader_{&memory_.head, kCapacity};
  std::string frame_;

  bool read() {
    const auto there = reader_.read(frame_);
    EXPECT_TRUE(there);
    return there && *there;
  }
};

TEST_F(Ring, WhatIsWrittenIsReadInOrderAroundItsEnd) {
  std::mt19937 random(7);
  for (int i = 0; i < 2'000; ++i) {
    const std::string one(random() % 120, static_cast<char>(random()));
    const std::string other(random() % 120, static_cast<char>(random()));
    ASSERT_TRUE(writer_.write(one));
    ASSERT_TRUE(writer_.write(other));
    ASSERT_TRUE(read());
    EXPECT_EQ(frame_, one);
    ASSERT_TRUE(read());
    EXPECT_EQ(frame_, other);
    ASSERT_FALSE(read());
  }
}

TEST_F(Ring, TakesWhatFitsAndNotAByteMore) {
  EXPECT_FALSE(writer_.write(std::string(kCapacity - 3, 'x')));
  EXPECT_TRUE(writer_.write(std::string(kCapacity - 4, 'x')));
  EXPECT_FALSE(writer_.write(""));
  EXPECT_TRUE(read());
  EXPECT_TRUE(writer_.write(""));
}

TEST_F(Ring, AWriterWhoClaimsTooMuchIsFoundOut) {
  memory_.head.written = kCapacity + 1;
  EXPECT_FALSE(reader_.read(frame_));
  memory_.head.written = 3;  // Less than the length of a frame.
  EXPECT_FALSE(reader_.read(frame_));
}

TEST_F(Ring, AFrameLongerThanWhatWasWrittenIsFoundOut) {
  ASSERT_TRUE(writer_.write("four"));
  const std::uint32_t length = 5;
  std::memcpy(memory_.bytes, &length, sizeof length);
  EXPECT_FALSE(reader_.read(frame_));
}

TEST_F(Ring, AReaderWhoClaimsWhatWasNeverWrittenGetsNoMore) {
  memory_.head.read = 1'000;
  EXPECT_FALSE(writer_.write("x"));
}

TEST(Line, CarriesBothWaysAndWakesWhoSleeps) {
  const auto line = Line::create();
  ASSERT_TRUE(line);
  constexpr int kFrames = 50'000;
  std::thread echo([&] {
    RingReader orders = (*line)->orders_in();
    RingWriter words = (*line)->words_out();
    std::string frame;
    for (int i = 0; i < kFrames;) {
      quiet((*line)->engine_bell());
      while (*orders.read(frame)) {
        while (!words.write(frame)) std::this_thread::yield();
        words.wake();
        ++i;
      }
      pollfd bell{(*line)->engine_bell(), POLLIN, 0};
      if (i < kFrames && orders.may_sleep()) {
        ASSERT_EQ(::poll(&bell, 1, 10'000), 1);
      }
    }
  });
  RingWriter orders = (*line)->orders_out();
  RingReader words = (*line)->words_in();
  std::string frame;
  int sent = 0;
  for (int i = 0; i < kFrames;) {
    while (sent < kFrames && sent - i < 100) {
      ASSERT_TRUE(orders.write(std::string(static_cast<std::size_t>(sent % 97), 'x')));
      orders.wake();
      ++sent;
    }
    quiet((*line)->gateway_bell());
    while (*words.read(frame)) ASSERT_EQ(frame.size(), static_cast<std::size_t>(i++ % 97));
    pollfd bell{(*line)->gateway_bell(), POLLIN, 0};
    if (i < sent && words.may_sleep()) {
      ASSERT_EQ(::poll(&bell, 1, 10'000), 1);
    }
  }
  echo.join();
}

}  // namespace
}  // namespace spillway::isolated
