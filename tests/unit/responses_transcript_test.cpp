// Events as they are kept: told again as they were, and as far as they are there.
#include "gateway/responses/events.h"
#include "gateway/responses/transcript.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway::responses {
namespace {

struct Told {
  std::vector<std::string> events;
  std::string transcript;
};

Told told() {
  Transcript transcript;
  Events events(true, 0, &transcript);
  events.add("response.created", R"("response":{"id":"resp_1","instructions":"é"})");
  for (const char* word : {"one", "one", "", " one", "è", "é", R"(\"sequence_number\":7)"})
    events.add("response.output_text.delta",
               R"("output_index":0,"delta":")" + std::string(word) + R"(","logprobs":[])");
  events.add("response.output_text.done", R"("text":"all")");
  return {split_events(events.take()), transcript.text()};
}

TEST(ResponsesTranscript, GivesEveryEventAsItWasTold) {
  const Told all = told();
  EXPECT_EQ(all.events.size(), 9u);
  EXPECT_EQ(events_in(all.transcript), all.events);
  EXPECT_TRUE(events_in("").empty());
}

TEST(ResponsesTranscript, WritesDownLittleMoreThanTheWords) {
  Transcript transcript;
  Events events(true, 0, &transcript);
  for (int i = 0; i < 1'000; ++i)
    events.add("response.output_text.delta", R"("item_id":"msg_1","delta":"word","logprobs":[])");
  EXPECT_LT(transcript.text().size(), 20'000u);
}

TEST(ResponsesTranscript, GivesWhatStandsBeforeADamage) {
  const Told all = told();
  for (std::size_t size = 0; size < all.transcript.size(); ++size) {
    const auto events = events_in(all.transcript.substr(0, size));
    ASSERT_LT(events.size(), all.events.size());
    for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i], all.events[i]);
  }
  EXPECT_TRUE(events_in("9 9 9 x").empty());
  EXPECT_TRUE(events_in("0 0 99999999999999999999 x").empty());
  EXPECT_TRUE(events_in("0 0 18446744073709551615 x").empty());
}

}  // namespace
}  // namespace spillway::responses
