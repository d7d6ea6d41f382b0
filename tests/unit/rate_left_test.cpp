// What providers say is left of an account's limits, and what follows from it.
#include "backends/cloud/response_head.h"
#include "gateway/policy/rate_room.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RateLeft said(const std::vector<std::string>& lines) {
  cloud::ResponseHead head;
  EXPECT_TRUE(head.take("HTTP/1.1 200 OK"));
  for (const std::string& line : lines) EXPECT_TRUE(head.take(line));
  return head.rate_left();
}

TEST(RateHeaders, OpenAisAreRead) {
  const RateLeft left =
      said({"x-ratelimit-limit-requests: 5000", "x-ratelimit-remaining-requests: 4999",
            "X-RateLimit-Reset-Requests: 12ms", "x-ratelimit-limit-tokens: 160000",
            "x-ratelimit-remaining-tokens: 7", "x-ratelimit-reset-tokens: 6m0.5s"});
  ASSERT_TRUE(left.requests && left.tokens);
  EXPECT_EQ(left.requests->left, 4999);
  EXPECT_EQ(left.requests->limit, 5000);
  EXPECT_EQ(left.requests->full_in, milliseconds(12));
  EXPECT_EQ(left.tokens->left, 7);
  EXPECT_EQ(left.tokens->full_in, milliseconds(360'500));
}

TEST(RateHeaders, AnthropicsAreReadByTheResponsesOwnClockAndTheTighterTokensCount) {
  const RateLeft left =
      said({"date: Fri, 27 Nov 2026 01:00:00 GMT", "anthropic-ratelimit-requests-limit: 50",
            "anthropic-ratelimit-requests-remaining: 0",
            "anthropic-ratelimit-requests-reset: 2026-11-27T01:00:04Z",
            "anthropic-ratelimit-tokens-remaining: 9000",
            "anthropic-ratelimit-tokens-reset: 2026-11-27T01:01:00Z",
            "anthropic-ratelimit-input-tokens-remaining: 800",
            "anthropic-ratelimit-input-tokens-reset: 2026-11-27T01:00:30Z"});
  ASSERT_TRUE(left.requests && left.tokens);
  EXPECT_EQ(left.requests->left, 0);
  EXPECT_EQ(left.requests->full_in, seconds(4));
  EXPECT_EQ(left.tokens->left, 800);
  EXPECT_EQ(left.tokens->full_in, seconds(30));
}

TEST(RateHeaders, WhatIsUnreadableSaysNothing) {
  for (const char* reset : {"soon", "-1s", "12 parsecs", "", "1e999s", "2026-11-27T01:00:04Z"}) {
    const RateLeft left = said(
        {"x-ratelimit-remaining-requests: 0", std::string("x-ratelimit-reset-requests: ") + reset});
    EXPECT_FALSE(left.requests) << reset;
  }
  EXPECT_FALSE(
      said({"x-ratelimit-remaining-requests: many", "x-ratelimit-reset-requests: 1s"}).requests);
  EXPECT_FALSE(
      said({"x-ratelimit-remaining-requests: -1", "x-ratelimit-reset-requests: 1s"}).requests);
  EXPECT_EQ(cloud::duration_of("1h2m3s"), seconds(3'723));
  EXPECT_EQ(cloud::duration_of("30"), seconds(30));
  EXPECT_EQ(cloud::duration_of("99999999h"), seconds(86'400)) << "no longer than a day";
}

const TimePoint kNow = TimePoint{} + seconds(1'000);

TEST(RateRoom, WhoWasToldNothingHasRoom) {
  policy::RateRoom room;
  room.take(1e9);
  EXPECT_EQ(room.free_at(1e9, kNow), kNow);
}

TEST(RateRoom, WhatWasSentSinceCounts) {
  policy::RateRoom room;
  const double first = room.take(100);
  room.take(300);  // Sent before the first was answered, after it was counted there.
  room.told({.left = 500, .limit = std::nullopt, .full_in = seconds(10)}, first, kNow);
  EXPECT_EQ(room.free_at(200, kNow), kNow);
  EXPECT_EQ(room.free_at(201, kNow), kNow + seconds(10));
  room.take(200);
  EXPECT_EQ(room.free_at(1, kNow + seconds(1)), kNow + seconds(10));
  EXPECT_EQ(room.free_at(1, kNow + seconds(10)), kNow + seconds(10)) << "then it is full again";
}

TEST(RateRoom, ItFillsEvenly) {
  policy::RateRoom room;
  room.told({.left = 0, .limit = 60, .full_in = seconds(60)}, room.take(1), kNow);
  EXPECT_EQ(room.free_at(1, kNow), kNow + seconds(1));
  EXPECT_EQ(room.free_at(1, kNow + seconds(1)), kNow + seconds(1));
  EXPECT_EQ(room.free_at(100, kNow), kNow + seconds(60))
      << "more than there ever is: once it is full";
}

TEST(RateRoom, OlderAnswersSayNothing) {
  policy::RateRoom room;
  const double first = room.take(1), second = room.take(1);
  room.told({.left = 0, .limit = std::nullopt, .full_in = seconds(5)}, second, kNow + seconds(1));
  room.told({.left = 1, .limit = std::nullopt, .full_in = seconds(5)}, first, kNow);
  EXPECT_GT(room.free_at(1, kNow + seconds(2)), kNow + seconds(2));
}

}  // namespace
}  // namespace spillway
