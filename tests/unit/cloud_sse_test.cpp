#include "backends/cloud/sse.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace spillway::cloud {
namespace {

using Event = std::pair<std::string, std::string>;
using Events = std::vector<Event>;

Events parse(const std::vector<std::string_view>& pieces) {
  SseParser parser;
  Events events;
  const auto keep = [&events](std::string_view type, std::string_view data) {
    events.emplace_back(type, data);
    return true;
  };
  for (const std::string_view piece : pieces) EXPECT_TRUE(parser.feed(piece, keep));
  return events;
}

const std::string kMixed =
    "\xEF\xBB\xBF"
    "data: first\n\n"
    ": a comment\r\n"
    "data: line one\r\ndata: line two\r\n\r\n"
    "event: error\rdata:no space\r\r"
    "data\n\n"
    "id: 7\nretry: 10\nevent: lost\n\n"
    "data:  two spaces\n\n"
    "data: {\"a\":\"b:c\"}\n\n"
    "data: never ended\n";

const Events kMixedEvents = {
    {"", "first"}, {"", "line one\nline two"}, {"error", "no space"},
    {"", ""},      {"", " two spaces"},        {"", "{\"a\":\"b:c\"}"},
};

TEST(SseParser, ReadsAllLineEndsFieldsAndComments) { EXPECT_EQ(parse({kMixed}), kMixedEvents); }

TEST(SseParser, AnyTwoCutsGiveTheSameEvents) {
  const std::string_view all = kMixed;
  for (std::size_t first = 0; first <= all.size(); ++first) {
    for (std::size_t second = first; second <= all.size(); ++second) {
      const Events events =
          parse({all.substr(0, first), all.substr(first, second - first), all.substr(second)});
      ASSERT_EQ(events, kMixedEvents) << "cut at " << first << " and " << second;
    }
  }
}

TEST(SseParser, OneByteAtATimeGivesTheSameEvents) {
  std::vector<std::string_view> bytes;
  for (std::size_t at = 0; at < kMixed.size(); ++at) {
    bytes.push_back(std::string_view(kMixed).substr(at, 1));
  }
  EXPECT_EQ(parse(bytes), kMixedEvents);
}

TEST(SseParser, StopsWhenTheConsumerSaysSo) {
  SseParser parser;
  int seen = 0;
  const auto once = [&seen](std::string_view, std::string_view) { return ++seen < 1; };
  EXPECT_FALSE(parser.feed("data: a\n\ndata: b\n\n", once));
  EXPECT_EQ(seen, 1);
}

// The line is the field name and all, whether it comes at once or never ends.
TEST(SseParser, LimitsALine) {
  const auto ignore = [](std::string_view, std::string_view) { return true; };
  const std::string field = "data:";
  const std::string longest(SseParser::kBytesMax - field.size(), 'x');
  SseParser at_limit;
  EXPECT_TRUE(at_limit.feed(field + longest + "\n\n", ignore));
  SseParser past_limit;
  EXPECT_FALSE(past_limit.feed(field + longest + "x\n\n", ignore));

  SseParser endless;
  const std::string chunk(64 << 10, 'x');
  std::size_t taken = 0;
  while (taken <= 2 * SseParser::kBytesMax && endless.feed(chunk, ignore)) taken += chunk.size();
  EXPECT_EQ(taken, SseParser::kBytesMax);
}

TEST(SseParser, LimitsAnEventOfManyLines) {
  const auto ignore = [](std::string_view, std::string_view) { return true; };
  SseParser parser;
  const std::string line = "data:" + std::string(1'000, 'x') + "\n";
  std::size_t lines = 0;
  while (lines < 20'000 && parser.feed(line, ignore)) ++lines;
  EXPECT_EQ(lines, SseParser::kBytesMax / 1'001);
}

// A picture in an event: many streams have one, and not all of them at once.
TEST(SseParser, LargeEventsShareARoom) {
  const auto ignore = [](std::string_view, std::string_view) { return true; };
  const std::string picture = "data: " + std::string(2 << 20, 'x');
  std::vector<std::unique_ptr<SseParser>> parsers;
  while (parsers.size() < 100) {
    auto parser = std::make_unique<SseParser>();
    if (!parser->feed(picture, ignore)) break;
    parsers.push_back(std::move(parser));
  }
  EXPECT_EQ(parsers.size(), 16U);
  EXPECT_TRUE(SseParser().feed("data: usual\n\n", ignore));
  EXPECT_TRUE(parsers.front()->feed("\n\n", ignore));
  EXPECT_TRUE(SseParser().feed(picture, ignore)) << "one has ended";
}

}  // namespace
}  // namespace spillway::cloud
