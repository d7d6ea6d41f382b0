#include "gateway/anthropic/errors.h"
#include "gateway/anthropic/message_writer.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::anthropic {
namespace {

const MessageInfo kInfo{"req_1", "m"};

Delta text(const std::string& text) { return {.text = text}; }
Delta thought(const std::string& text) { return {.reasoning = text}; }
Delta extra(const std::string& json) { return {.extra = json}; }
Delta own(const std::string& original, const std::string& text = "") {
  return {.text = text, .original = original};
}

wire::Ending ending(FinishReason reason) { return {{reason}, {10, 5, 3, 0, 2}}; }

// The types and indices of events, one a line.
std::string outline(const std::string& events) {
  std::string lines;
  for (auto at = events.find("event: "); at != events.npos; at = events.find("event: ", at + 1)) {
    lines += events.substr(at + 7, events.find('\n', at) - at - 7);
    const auto end = events.find("\n\n", at);
    const auto index = events.find("\"index\":", at);
    if (index < end) lines += " " + events.substr(index + 8, 1);
    lines += "\n";
  }
  return lines;
}

TEST(AnthropicEvents, TellEachKindAsABlockOfItsOwn) {
  const auto writer = event_writer(kInfo);
  wire::Opening opening;
  opening.prompt_tokens = 10;
  std::string events = writer->begin(opening);
  events += writer->piece(thought("hm"));
  events += writer->piece(text("a"));
  events += writer->piece(text("b"));
  events += writer->piece(
      extra(R"({"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]})"));
  events += writer->piece(extra(R"({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})"));
  events += writer->piece(extra(R"({"tool_calls":[{"index":1,"function":{"name":"g"}}]})"));
  events += writer->end(ending(FinishReason::tool_calls));
  EXPECT_EQ(outline(events),
            "message_start\nping\n"
            "content_block_start 0\ncontent_block_delta 0\ncontent_block_stop 0\n"
            "content_block_start 1\ncontent_block_delta 1\ncontent_block_delta 1\n"
            "content_block_stop 1\n"
            "content_block_start 2\ncontent_block_delta 2\ncontent_block_stop 2\n"
            "content_block_start 3\ncontent_block_stop 3\n"
            "message_delta\nmessage_stop\n");
  EXPECT_NE(events.find(R"("content_block":{"type":"tool_use","id":"c","name":"f","input":{}})"),
            events.npos);
  EXPECT_NE(events.find(R"("id":"toolu_req_1_1")"), events.npos);
  EXPECT_NE(events.find(R"("delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":)"
                        R"({"input_tokens":5,"cache_creation_input_tokens":2,)"
                        R"("cache_read_input_tokens":3,"output_tokens":5})"),
            events.npos)
      << events;
  EXPECT_NE(events.find(R"("usage":{"input_tokens":10,)"), events.npos);
}

TEST(AnthropicEvents, AnEmptyAnswerIsWhole) {
  const auto writer = event_writer(kInfo);
  EXPECT_EQ(outline(writer->begin({}) + writer->end(ending(FinishReason::stop))),
            "message_start\nping\nmessage_delta\nmessage_stop\n");
}

TEST(AnthropicEvents, ATargetsOwnBytesGoOutAsTheyCame) {
  const auto writer = event_writer(kInfo);
  const std::string first = "event: message_start\ndata: {\"x\":1}\n\n";
  EXPECT_EQ(writer->begin({}), "");
  EXPECT_EQ(writer->piece(own(first, "a")), first);
  Delta end = own("event: message_delta\ndata: {}\n\n");
  end.finish = FinishReason::stop;
  EXPECT_EQ(writer->piece(end), end.original);
  EXPECT_EQ(writer->piece(own("event: message_stop\ndata: {}\n\n")),
            "event: message_stop\ndata: {}\n\n");
  Delta usage;
  usage.usage = Usage{};
  EXPECT_EQ(writer->piece(usage), "");
  EXPECT_EQ(writer->end(ending(FinishReason::stop)), "");
}

TEST(AnthropicEvents, AnotherTargetGoesOnInTheSameBlock) {
  const auto writer = event_writer(kInfo);
  writer->piece(
      own("event: message_start\ndata: {}\n\nevent: content_block_start\ndata: {}\n\n"
          "event: content_block_delta\ndata: {}\n\n",
          "a"));
  EXPECT_EQ(outline(writer->piece(text("b"))), "content_block_delta 0\n");
  EXPECT_EQ(outline(writer->end(ending(FinishReason::stop))),
            "content_block_stop 0\nmessage_delta\nmessage_stop\n");
}

TEST(AnthropicEvents, FailureIsAnEventWithoutAStop) {
  const auto writer = event_writer(kInfo);
  const Error error{Errc::overloaded, "full", "", std::nullopt};
  EXPECT_EQ(writer->failed(error),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
            "\"message\":\"full\"},\"request_id\":\"req_1\"}\n\n");
}

TEST(AnthropicBody, GathersBlocks) {
  const auto writer = body_writer(kInfo);
  writer->piece(thought("hm"));
  writer->piece(text("a"));
  writer->piece(extra(R"({"tool_calls":[{"id":"c","function":{"name":"f","arguments":)"
                      R"("{\"z\":1,\"a\":2}"}}]})"));
  EXPECT_EQ(writer->end(ending(FinishReason::tool_calls)),
            R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)"
            R"({"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"a"},)"
            R"({"type":"tool_use","id":"c","name":"f","input":{"z":1,"a":2}}],)"
            R"("stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,)"
            R"("cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":5}})");
}

TEST(AnthropicBody, NamesTheStopSequence) {
  const auto writer = body_writer(kInfo);
  Delta last = text("a");
  last.stopped_by = "END";
  writer->piece(last);
  EXPECT_NE(writer->end(ending(FinishReason::stop))
                .find(R"("stop_reason":"stop_sequence","stop_sequence":"END")"),
            std::string::npos);
}

TEST(AnthropicBody, StartsAfresh) {
  const auto writer = body_writer(kInfo);
  writer->piece(text("lost"));
  writer->afresh();
  writer->piece(text("kept"));
  const std::string body = writer->end(ending(FinishReason::length));
  EXPECT_EQ(body.find("lost"), body.npos);
  EXPECT_NE(body.find(R"([{"type":"text","text":"kept"}])"), body.npos);
}

TEST(AnthropicErrors, HaveTheirTypes) {
  const auto type = [](Errc code) {
    const auto reply = error_reply({code, "m", "", std::nullopt}, "req_1");
    const auto at = reply.body.find(R"("error":{"type":")") + 17;
    return std::to_string(reply.status) + " " +
           reply.body.substr(at, reply.body.find('"', at) - at);
  };
  EXPECT_EQ(type(Errc::invalid_request), "400 invalid_request_error");
  EXPECT_EQ(type(Errc::unsupported), "400 invalid_request_error");
  EXPECT_EQ(type(Errc::unauthenticated), "401 authentication_error");
  EXPECT_EQ(type(Errc::over_budget), "402 billing_error");
  EXPECT_EQ(type(Errc::forbidden), "403 permission_error");
  EXPECT_EQ(type(Errc::model_not_found), "404 not_found_error");
  EXPECT_EQ(type(Errc::payload_too_large), "413 request_too_large");
  EXPECT_EQ(type(Errc::rate_limited), "429 rate_limit_error");
  EXPECT_EQ(type(Errc::backend_unavailable), "502 api_error");
  EXPECT_EQ(type(Errc::deadline_exceeded), "504 timeout_error");
  EXPECT_EQ(type(Errc::overloaded), "529 overloaded_error");
  EXPECT_EQ(type(Errc::no_route), "529 overloaded_error");
}

}  // namespace
}  // namespace spillway::anthropic
