// What a line is, what is kept of it, and that it is kept once; whose turn it is.
#include "gateway/batch/batch_store.h"
#include "gateway/batch/handover_store.h"
#include "gateway/batch/line.h"
#include "gateway/batch/turns.h"
#include "gateway/batch/validation.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace spillway::batch {
namespace {

namespace net = boost::asio;

constexpr Seconds kNow = 1'000'000;

std::string line_of(const std::string& id, const std::string& body = R"({"model":"m"})") {
  return R"({"custom_id":")" + id + R"(","method":"POST","url":"/v1/x","body":)" + body + "}";
}

TEST(BatchLine, GivesItsBodyByteForByte) {
  const std::string body = R"({"model" : "m", "seed":9007199254740993,"a":[{"b":"}\""}], "t":1.0})";
  EXPECT_EQ(body_of(line_of("a", body)), body);
  EXPECT_EQ(body_of(R"( { "body":{} , "x" : [1,{"body":2}] } )"), "{} ");
  EXPECT_EQ(body_of(R"({"x":"body","body":{"body":1}})"), R"({"body":1})");
  // What is run is what was judged: the last of that name, however it is spelled.
  EXPECT_EQ(body_of(R"({"body":{"model":"a"},"b\u006fdy":{"model":"b"}})"), R"({"model":"b"})");
}

TEST(BatchLine, IsJudged) {
  const Judged good = judge(line_of("a"), "/v1/x");
  EXPECT_FALSE(good.fault);
  EXPECT_EQ(good.line.custom_id, "a");
  EXPECT_EQ(good.line.model, "m");
  EXPECT_EQ(judge(line_of("a"), "/v1/y").fault->code, "invalid_url");
  EXPECT_EQ(judge(line_of(std::string(512, 'x')), "/v1/x").fault, std::nullopt);
  EXPECT_EQ(judge(line_of(std::string(513, 'x')), "/v1/x").fault->param, "custom_id");
  EXPECT_EQ(judge(std::string(100'000, '['), "/v1/x").fault->code, "invalid_json_line");
  EXPECT_EQ(judge("{\"custom_id\":\"\xff\"}", "/v1/x").fault->code, "invalid_json_line");
  EXPECT_EQ(judge(R"({"custom_id":1e400})", "/v1/x").fault->code, "invalid_json_line");
  EXPECT_EQ(judge(line_of("a") + '\0', "/v1/x").fault->code, "invalid_json_line");
  // A request may have a million values, and so may a line.
  std::string values = "0";
  for (int i = 0; i < 1'000'000; ++i) values += ",0";
  EXPECT_EQ(judge(line_of("a", R"({"model":"m","x":[)" + values + "]}"), "/v1/x").fault->code,
            "invalid_json_line");
  for (const char* stream : {"true", "1", "\"no\""}) {
    const std::string body = R"({"model":"m","stream":)" + std::string(stream) + "}";
    EXPECT_EQ(judge(line_of("a", body), "/v1/x").fault->param, "body.stream") << stream;
  }
  EXPECT_FALSE(judge(line_of("a", R"({"model":"m","stream":false})"), "/v1/x").fault);
}

TEST(BatchLine, ResultsAreOneLineEach) {
  const LineRef line{3, 0, 0, "id \"3\""};
  const std::string pretty =
      "{\n \"usage\": {\"prompt_tokens\": 5, \"completion_tokens\": 7,\r\n"
      " \"prompt_tokens_details\": {\"cached_tokens\": 2}}}";
  const LineResult result = result_of(line, {"req_1", 200, pretty});
  EXPECT_TRUE(result.completed);
  EXPECT_EQ(result.text.find_first_of("\r\n"), std::string::npos);
  EXPECT_NE(result.text.find(R"("custom_id":"id \"3\"")"), std::string::npos);
  EXPECT_EQ(result.tokens.input, 5);
  EXPECT_EQ(result.tokens.output, 7);
  EXPECT_EQ(result.tokens.cached, 2);
  EXPECT_FALSE(result_of(line, {"req_1", 400, "{}"}).completed);
  EXPECT_NE(expired_result(line).text.find("batch_expired"), std::string::npos);
}

class Batches : public ::testing::Test {
 protected:
  Batches() { store_ = *BatchStore::open(directory_); }

  Batch make(const std::string& input) {
    const std::string path = directory_.file("input");
    std::ofstream(path) << input;
    Batch batch;
    batch.tenant = "acme";
    batch.endpoint = "/v1/x";
    batch.created = kNow;
    batch.expires = kNow + 100;
    batch = *store_->create(batch, path);
    std::remove(path.c_str());
    Validation validation = *Validation::begin(*store_, batch);
    while (!*validation.step(kNow)) validation.judge();
    return *store_->find(batch.id);
  }

  LineResult done(int number, bool completed = true) {
    return {number, completed, "result " + std::to_string(number), {1, 0, 2, 0}};
  }

  std::string read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  store::Directory directory_ = *store::Directory::open("");
  std::unique_ptr<BatchStore> store_;
};

TEST_F(Batches, KnowWhereTheirLinesStand) {
  const Batch batch = make(line_of("a") + "\n\n" + line_of("b") + "\r\n" + line_of("c"));
  EXPECT_EQ(batch.state, State::in_progress);
  EXPECT_EQ(batch.lines, 3);
  const auto lines = *store_->undone(batch.id, 0, 10);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1].number, 3);
  EXPECT_EQ(lines[1].custom_id, "b");
  EXPECT_EQ(*store_->read(batch.id, lines[1]), line_of("b") + "\r");
  EXPECT_EQ(*store_->read(batch.id, lines[2]), line_of("c"));
  EXPECT_EQ(store_->undone(batch.id, 1, 1)->at(0).number, 3);
  EXPECT_EQ(store_->gauges().lines_waiting, 3);
}

TEST_F(Batches, LeaveNothingWhenTheyFail) {
  const Batch batch = make(line_of("a") + "\n{");
  EXPECT_EQ(batch.state, State::failed);
  EXPECT_TRUE(store_->undone(batch.id, 0, 10)->empty());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path()))
    EXPECT_NE(entry.path().extension(), ".input") << entry.path();
}

TEST_F(Batches, LinesOfManyBlocks) {
  const std::string padding(300'000, 'x');
  std::string input;
  for (int n = 0; n < 20; ++n)
    input += line_of(std::to_string(n), R"({"model":"m","x":")" + padding + "\"}") + "\n";
  const Batch batch = make(input);
  EXPECT_EQ(batch.lines, 20);
  const LineRef last = store_->undone(batch.id, 19, 1)->at(0);
  EXPECT_TRUE(store_->read(batch.id, last)->starts_with(R"({"custom_id":"19")"));
}

TEST_F(Batches, ALineWithoutAnEndIsNotHeldInMemory) {
  const Batch batch = make(std::string(kLineBytesMax + (8 << 20), 'x'));
  EXPECT_EQ(batch.state, State::failed);
  ASSERT_EQ(batch.faults.size(), 1u);
  EXPECT_EQ(batch.faults[0].code, "line_too_large");
}

TEST_F(Batches, AResultThatDidNotCountIsCutOff) {
  const Batch batch = make(line_of("a") + "\n" + line_of("b") + "\n" + line_of("c"));
  ASSERT_TRUE(store_->record(batch.id, {done(1)}).has_value());
  // Killed after the file was written, before the line counted.
  std::ofstream(store_->output_path(batch.id), std::ios::app) << "another result 2\nresu";
  store_.reset();
  store_ = *BatchStore::open(directory_);
  EXPECT_EQ(store_->undone(batch.id, 0, 10)->size(), 2u);
  ASSERT_TRUE(store_->record(batch.id, {done(2), done(3, false)}).has_value());
  EXPECT_EQ(read(store_->output_path(batch.id)), "result 1\nresult 2\n");
  EXPECT_EQ(read(store_->error_path(batch.id)), "result 3\n");
  const Batch now = *store_->find(batch.id);
  EXPECT_EQ(now.lines_completed, 2);
  EXPECT_EQ(now.lines_failed, 1);
  EXPECT_EQ(now.tokens.output, 6);
  EXPECT_EQ(now.lines_left(), 0);
  std::ofstream(store_->output_path(batch.id), std::ios::app) << "more";
  ASSERT_TRUE(store_->trim(now).has_value());
  EXPECT_EQ(read(store_->output_path(batch.id)), "result 1\nresult 2\n");
}

TEST_F(Batches, RoundsAreCountedOverAKill) {
  const Batch batch = make(line_of("a"));
  EXPECT_EQ(*store_->begin_round(batch.id), 1);
  EXPECT_EQ(*store_->begin_round(batch.id), 2);
  store_.reset();
  store_ = *BatchStore::open(directory_);
  EXPECT_EQ(*store_->begin_round(batch.id), 3);
  EXPECT_EQ(store_->begin_round("batch_of_nobody").error().code, Errc::not_found);
}

TEST_F(Batches, EndOnce) {
  const Batch batch = make(line_of("a"));
  EXPECT_EQ(store_->begin_end(batch.id, State::expired, kNow + 1)->state, State::finalizing);
  EXPECT_EQ(store_->begin_end(batch.id, State::completed, kNow + 2)->ends_as, State::expired);
  EXPECT_EQ(store_->cancel("acme", batch.id, kNow).error().code, Errc::invalid_request);
  EXPECT_EQ(store_->unfinished()->size(), 1u);
  const Batch ended = *store_->end(batch.id, kNow + 3);
  EXPECT_EQ(ended.state, State::expired);
  EXPECT_EQ(ended.expired, kNow + 3);
  EXPECT_TRUE(store_->unfinished()->empty());
  EXPECT_TRUE(store_->undone(batch.id, 0, 10)->empty());
}

TEST_F(Batches, CancelWinsWhileLinesRun) {
  const Batch batch = make(line_of("a"));
  EXPECT_EQ(store_->cancel("rival", batch.id, kNow).error().code, Errc::not_found);
  EXPECT_EQ(store_->cancel("acme", batch.id, kNow)->state, State::cancelling);
  EXPECT_EQ(store_->begin_end(batch.id, State::completed, kNow)->ends_as, State::cancelled);
  EXPECT_EQ(store_->end(batch.id, kNow)->state, State::cancelled);
}

std::string input_of(int lines) {
  std::string input;
  for (int n = 1; n <= lines; ++n) input += line_of(std::to_string(n)) + "\n";
  return input;
}

Handover handover_of(const Batch& batch, const std::string& id) {
  Handover handover;
  handover.id = id;
  handover.batch = batch.id;
  handover.target = "cloud";
  handover.input_file = "file-1";
  return handover;
}

TEST_F(Batches, WhatIsHandedOverIsNotAskedHere) {
  const Batch batch = make(input_of(6));
  HandoverStore handovers(*store_);
  EXPECT_EQ(*handovers.waiting(batch.id, 1), 5);
  EXPECT_EQ(*handovers.first_of_last(batch.id, 0, 2), 5);
  EXPECT_EQ(*handovers.first_of_last(batch.id, 5, 2), 0) << "there are not so many";
  ASSERT_TRUE(handovers.keep(batch.id, {4}).has_value());
  ASSERT_TRUE(handovers.begin(handover_of(batch, "handover_1"), {5, 6}).has_value());
  EXPECT_EQ(store_->undone(batch.id, 0, 10)->size(), 4u);
  EXPECT_EQ(*handovers.waiting(batch.id, 0), 3) << "what stays is not thought about again";
  EXPECT_EQ(handovers.from(batch.id, 1, 10)->size(), 3u);
  EXPECT_EQ(store_->gauges().lines_handed_over, 2);
}

TEST_F(Batches, AHandoverIsThereAfterAKill) {
  const Batch batch = make(input_of(3));
  Handover handover = handover_of(batch, "handover_1");
  handover.most = 7;
  ASSERT_TRUE(HandoverStore(*store_).begin(handover, {1, 2, 3}).has_value());
  store_ = *BatchStore::open(directory_);
  HandoverStore handovers(*store_);
  auto found = handovers.of_batch(batch.id)->at(0);
  EXPECT_EQ(found.state, Handover::State::uploaded);
  EXPECT_EQ(found.input_file, "file-1");
  EXPECT_EQ(found.lines, 3);
  EXPECT_EQ(found.most, 7);
  ASSERT_TRUE(handovers.running("handover_1", "batch_there").has_value());
  found.output_file = "file-2";
  ASSERT_TRUE(handovers.ended(found).has_value());
  ASSERT_TRUE(handovers.running("handover_1", "batch_there").has_value()) << "said late";
  found = handovers.of_batch(batch.id)->at(0);
  EXPECT_EQ(found.state, Handover::State::ended);
  EXPECT_EQ(found.remote, "batch_there");
  EXPECT_EQ(found.output_file, "file-2");
}

TEST_F(Batches, WhatTheProviderHasDoneCountsOnce) {
  const Batch batch = make(input_of(4));
  HandoverStore handovers(*store_);
  ASSERT_TRUE(handovers.begin(handover_of(batch, "handover_1"), {1, 2, 3, 4}).has_value());
  ASSERT_TRUE(handovers.progress("handover_1", 3).has_value());
  ASSERT_TRUE(handovers.progress("handover_1", 2).has_value()) << "it is never less";
  EXPECT_EQ(store_->find(batch.id)->lines_answered_elsewhere, 3);
  ASSERT_TRUE(store_->record(batch.id, {done(1), done(2)}).has_value());
  EXPECT_EQ(store_->find(batch.id)->lines_answered_elsewhere, 1);
  EXPECT_NE(batch_object(*store_->find(batch.id)).find(R"("completed":3)"), std::string::npos);
  EXPECT_EQ(handovers.open_lines("handover_1")->size(), 2u);
  ASSERT_TRUE(handovers.close("handover_1").has_value());
  EXPECT_TRUE(handovers.of_batch(batch.id)->empty());
  EXPECT_EQ(store_->find(batch.id)->lines_answered_elsewhere, 0);
  EXPECT_EQ(store_->undone(batch.id, 0, 10)->size(), 2u) << "they are asked here";
  EXPECT_EQ(*handovers.waiting(batch.id, 0), 0) << "…and not handed over again";
  EXPECT_EQ(store_->gauges().lines_handed_back, 2u);
}

struct Queue {
  net::io_context io{1};
  Turns turns{2};
  std::vector<std::string> served;
  std::vector<Turns::Place> held;
};

net::awaitable<void> ask(Queue& queue, std::string tenant, std::string name) {
  auto place = co_await queue.turns.take(tenant, Deadline::max());
  queue.served.push_back(place ? name : name + " left");
  queue.held.push_back(std::move(place));
}

TEST(BatchTurns, GoToTheTenantWithTheFewestPlaces) {
  Queue queue;
  for (const char* name : {"a1", "a2", "a3", "a4", "b1", "b2"}) {
    const std::string tenant(1, name[0]);
    net::co_spawn(queue.io, ask(queue, tenant, name), net::detached);
  }
  queue.io.poll();
  EXPECT_EQ(queue.served, (std::vector<std::string>{"a1", "a2"}));
  queue.held.erase(queue.held.begin());
  queue.io.poll();
  EXPECT_EQ(queue.served.back(), "b1");
  queue.held.erase(queue.held.begin());  // a2's: both have one or none now, a3 has waited longest.
  queue.io.poll();
  EXPECT_EQ(queue.served.back(), "a3");
  queue.turns.wake();
  queue.io.poll();
  EXPECT_EQ(queue.served.size(), 6u);
  EXPECT_EQ(queue.served.back(), "b2 left");
  EXPECT_EQ(queue.turns.taken(), 2);
}

}  // namespace
}  // namespace spillway::batch
