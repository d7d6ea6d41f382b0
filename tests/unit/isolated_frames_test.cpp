// What two processes say to each other: it arrives as it was sent, and what nobody sent is refused.
#include "backends/isolated/frames.h"
#include "backends/isolated/line.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace spillway::isolated {
namespace {

Delta delta_of_all() {
  Delta delta;
  delta.choice = 3;
  delta.text = std::string("text with a \0 in it", 19);
  delta.reasoning = "because";
  delta.extra = R"({"refusal":"no"})";
  delta.logprobs = R"({"content":[]})";
  delta.scored = {{1, std::nullopt, 0, {}, true}, {2, -0.5f, 3, {{3, -0.25f}, {2, -0.5f}}}};
  delta.object = "{}";
  delta.tokens = 5;
  delta.engine_time = std::chrono::nanoseconds(1'234'567'891'234);
  delta.finish = FinishReason::content_filter;
  delta.stopped_by = "\n\n";
  delta.usage = Usage{1, 2, 3, 4, 5};
  delta.original = "event: x\n";
  return delta;
}

Question question_of_all() {
  Question question;
  question.id = 1ULL << 60;
  question.prompts = {{1, 2, -3, 1 << 30}, {}, {4}};
  question.sampling = {.temperature = 0.25,
                       .top_p = 0.5,
                       .top_k = 9,
                       .min_p = 0.125,
                       .frequency_penalty = -1.5,
                       .presence_penalty = 1.5,
                       .repetition_penalty = 1.25,
                       .seed = 77,
                       .stop = {"a", "", "stop"},
                       .tokens_max = 12,
                       .tokens_min = 2,
                       .ignore_eos = true,
                       .stop_tokens = {5, 6},
                       .keeps_stop = true,
                       .shows_special = true,
                       .bias = {{7, -1.5f}},
                       .logprobs = 4,
                       .scores_prompt = true,
                       .prompt_logprobs = 6};
  question.tokens_max = 100;
  question.lane = Lane::background;
  question.owner = "tenant";
  question.form = Form{Form::Kind::grammar, "root", {"a", ""}, "field"};
  question.begun = "begun";
  question.choices = 3;
  return question;
}

Picture picture_of_all() {
  Picture picture;
  picture.replica = 5;
  EngineStatus& status = picture.status;
  status.ready = true;
  status.running = {{1, 2, 3, 4, Lane::foreground}, {5, 6, 7, 8, Lane::background}};
  status.waiting = {{9, 10, 11, 12, Lane::background}};
  status.sequences_max = 13;
  status.budget = {14, 0.5, 15, 16};
  status.waiting_max = 16;
  status.kv_tokens_total = 17;
  status.kv_tokens_free = 18;
  status.kv_reserved = true;
  status.context_max = 19;
  status.holds_forms = true;
  status.calls_tools = true;
  status.tells_logits = true;
  status.step_elapsed = 0.25;
  status.step = {1.0, 2.0, 3.0, 4.0, 20};
  picture.step_began = TimePoint(std::chrono::nanoseconds(123'456'789));
  picture.counters.accepted = 21;
  picture.counters.drafts = 23;
  picture.counters.drafts_right = 19;
  picture.counters.cancel_steps_max = 22;
  picture.counters.step_seconds.observe(0.02);
  picture.counters.batch_size.observe(3);
  return picture;
}

local::WaitingPlace place_of_all() {
  return {1ULL << 60, {{1, 2, 3, 4, Lane::background}, {5, 6, 7, 8, Lane::background}}, {9, 0, 16}};
}

std::string written(const auto& frame) {
  std::string bytes;
  encode(frame, bytes);
  return bytes;
}

// Each field of what was read is what was sent: it is written as that was.
TEST(Frames, ArriveAsTheyWereSent) {
  const Word words[] = {
      Loaded{{picture_of_all().status, picture_of_all().status}},
      Piece{7, delta_of_all()},
      Done{8},
      Failure{9, {Errc::overloaded, "full", "param", std::chrono::milliseconds(3), "rule"}},
      picture_of_all(),
      PrefixInserted{1, "tenant", 5, {1, 2, 3}, 4},
      PrefixErased{2, 6},
      ReplicaFailed{3, "device lost"},
      Came{place_of_all()},
      Refused{4},
      Left{1ULL << 61},
      Taken{1ULL << 62, 6},
      Farewell{"bye"}};
  for (const Word& word : words) {
    const auto read = decode_word(written(word));
    ASSERT_TRUE(read) << word.index();
    EXPECT_EQ(read->index(), word.index());
    EXPECT_EQ(written(*read), written(word));
  }
  const Order orders[] = {Hello{"targets: {}"},
                          question_of_all(),
                          Cancelled{1},
                          Paused{2},
                          Resumed{3},
                          Nudge{},
                          Stop{TimePoint(std::chrono::seconds(5))}};
  for (const Order& order : orders) {
    const auto read = decode_order(written(order));
    ASSERT_TRUE(read) << order.index();
    EXPECT_EQ(read->index(), order.index());
    EXPECT_EQ(written(*read), written(order));
  }
}

TEST(Frames, FieldsStayWhereTheyWere) {
  const auto read = decode_order(written(Order(question_of_all())));
  ASSERT_TRUE(read);
  const auto& question = std::get<Question>(*read);
  EXPECT_EQ(question.prompts, question_of_all().prompts);
  EXPECT_EQ(question.sampling.seed, 77U);
  EXPECT_EQ(question.sampling.stop, question_of_all().sampling.stop);
  EXPECT_EQ(question.sampling.min_p, 0.125);
  EXPECT_EQ(question.owner, "tenant");

  const auto piece = decode_word(written(Word(Piece{7, delta_of_all()})));
  ASSERT_TRUE(piece);
  const Delta& delta = std::get<Piece>(*piece).delta;
  EXPECT_EQ(delta.text, delta_of_all().text);
  EXPECT_EQ(delta.finish, FinishReason::content_filter);
  EXPECT_EQ(delta.usage->cache_written_tokens, 5);
  EXPECT_EQ(delta.original, "event: x\n");

  const auto seen = decode_word(written(Word(picture_of_all())));
  ASSERT_TRUE(seen);
  const auto& picture = std::get<Picture>(*seen);
  EXPECT_EQ(picture.replica, 5U);
  EXPECT_EQ(picture.status.waiting.front().tokens_max, 12);
  EXPECT_EQ(picture.step_began, picture_of_all().step_began);
  EXPECT_EQ(picture.counters.batch_size.buckets[9], 1U);

  const auto came = decode_word(written(Word(Came{place_of_all()})));
  ASSERT_TRUE(came);
  const local::WaitingPlace& place = std::get<Came>(*came).place;
  EXPECT_EQ(place.id, 1ULL << 60);
  EXPECT_EQ(place.sequences.back().context_tokens, 6);
  EXPECT_EQ(place.cached, place_of_all().cached);
}

TEST(Frames, WhatIsCutOrHasMoreIsRefused) {
  for (const std::string& bytes : {written(Order(question_of_all())), written(Order(Stop{}))}) {
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_order(bytes.substr(0, size))) << size;
    EXPECT_FALSE(decode_order(bytes + '\0'));
  }
  for (const std::string& bytes :
       {written(Word(picture_of_all())), written(Word(Piece{7, delta_of_all()}))}) {
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_word(bytes.substr(0, size))) << size;
    EXPECT_FALSE(decode_word(bytes + '\0'));
  }
}

TEST(Frames, WordsThatNobodyKnowsAreRefused) {
  EXPECT_FALSE(decode_word("\x0d"));
  EXPECT_FALSE(decode_order("\x07"));
  std::string lane = written(Order(question_of_all()));
  lane[lane.find("tenant") - 4 - 1] = 2;  // Behind the last.
  EXPECT_FALSE(decode_order(lane));
  std::string kind = written(Order(question_of_all()));
  kind[kind.find("root") - 4 - 1] = 6;
  EXPECT_FALSE(decode_order(kind));
}

// Any bytes at all: refused or read, and what was read can be written. Sanitizers look on.
TEST(Frames, HostileBytesHarmNobody) {
  std::mt19937 random(11);
  const std::string seeds[] = {
      written(Word(picture_of_all())), written(Word(Piece{7, delta_of_all()})),
      written(Word(PrefixInserted{0, "tenant", 5, {1, 2, 3}, 4})),
      written(Word(Came{place_of_all()})), written(Order(question_of_all()))};
  int read = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string bytes = seeds[random() % std::size(seeds)];
    for (unsigned changes = random() % 4 + 1; changes > 0; --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 8));
    if (const auto word = decode_word(bytes)) {
      ++read;
      EXPECT_EQ(written(*word), bytes);
    }
    if (const auto order = decode_order(bytes)) {
      ++read;
      EXPECT_EQ(written(*order), bytes);
    }
  }
  EXPECT_GT(read, 1'000);
}

TEST(Frames, APictureOfTheLongestQueueHasRoomInTheRing) {
  EngineStatus status;
  status.running.resize(4'096);  // sequences_max and waiting_max at their most.
  status.waiting.resize(100'000);
  std::string frame;
  encode(Word(Picture{0, status, std::nullopt, {}}), frame);
  EXPECT_LT(frame.size(), kWordBytes);
  EXPECT_GT(frame.size(), kWordBytes / 4);
  encode(Word(Came{{0, status.waiting, std::vector<int>(8)}}), frame);  // All of them together.
  EXPECT_LT(frame.size(), kWordBytes);
}

}  // namespace
}  // namespace spillway::isolated
