#include "gateway/anthropic/blocks.h"
#include "gateway/anthropic/errors.h"
#include "gateway/anthropic/message_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

Delta call(int index, const std::string& name, const std::string& arguments) {
  const std::string named = name.empty() ? "" : R"("name":")" + name + R"(",)";
  return extra(R"({"tool_calls":[{"index":)" + std::to_string(index) + R"(,"function":{)" + named +
               R"("arguments":")" + arguments + R"("}}]})");
}

// Of the one block that is open at a time, what it says; the names of calls before their input.
std::string said_in(const std::string& events) {
  std::string said;
  const auto text_at = [&](std::size_t at) {
    std::size_t end = at;
    while (events[end] != '"') end += events[end] == '\\' ? 2 : 1;
    return events.substr(at, end - at);
  };
  for (auto at = events.find("event: "); at != events.npos; at = events.find("event: ", at + 1)) {
    const std::string one = events.substr(at, events.find("\n\n", at) - at);
    const auto name = one.find(R"("name":")"), input = one.find(R"("partial_json":")"),
               text = one.find(R"("text_delta","text":")");
    if (one.starts_with("event: content_block_start")) said += "|";
    if (name != one.npos) said += text_at(at + name + 8) + ":";
    if (input != one.npos) said += text_at(at + input + 16);
    if (text != one.npos) said += text_at(at + text + 21);
  }
  return said;
}

std::string events_of(const std::vector<Delta>& pieces) {
  const auto writer = event_writer(kInfo);
  std::string events = writer->begin({});
  for (const Delta& piece : pieces) events += writer->piece(piece);
  return events + writer->end(ending(FinishReason::tool_calls));
}

TEST(AnthropicEvents, CallsThatComeBesideEachOtherStandOneAfterTheOther) {
  EXPECT_EQ(said_in(events_of({call(0, "f", ""), call(1, "g", ""), call(0, "", "{1"),
                               call(1, "", "{2"), call(0, "", "3}"), call(1, "", "4}")})),
            "|f:{13}|g:{24}");
  EXPECT_EQ(said_in(events_of({call(0, "f", "{1"), call(1, "g", "{2}"), call(2, "h", "{3}"),
                               text("said "), text("between"), call(0, "", "}")})),
            "|f:{1}|g:{2}|h:{3}|said between");
  EXPECT_EQ(said_in(events_of({call(1, "g", "{}"), call(0, "f", "{}"), call(1, "", "late")})),
            "|g:{}|f:{}");
  // A brace in a text ends nothing; what is never whole ends with the answer.
  const std::string open = R"({\"}\\\\\\\"}\")";
  EXPECT_EQ(said_in(events_of({call(0, "f", open), call(1, "g", "{}"), text("x")})),
            "|f:" + open + "|g:{}|x");
}

TEST(AnthropicEvents, ACallThatIsWholeWaitsForNothing) {
  const auto writer = event_writer(kInfo);
  writer->piece(call(0, "f", "{}"));
  EXPECT_EQ(writer->piece(call(1, "g", "")), "") << "its name may go on";
  EXPECT_EQ(outline(writer->piece(call(2, "h", "{}"))),
            "content_block_stop 0\ncontent_block_start 1\n");
  EXPECT_EQ(outline(writer->piece(call(1, "", "{}"))),
            "content_block_delta 1\ncontent_block_stop 1\ncontent_block_start 2\n"
            "content_block_delta 2\n");
}

TEST(AnthropicEvents, NotMoreThanSoMuchWaits) {
  const auto writer = event_writer(kInfo);
  writer->piece(call(0, "f", "{"));
  EXPECT_EQ(writer->piece(call(1, "g", std::string(Blocks::kWaitingBytesMax, 'x'))), "");
  EXPECT_NE(writer->piece(call(1, "", "y")), "");
  EXPECT_EQ(writer->piece(call(0, "", "}")), "") << "its block has ended";
}

TEST(AnthropicEvents, ManyThatWaitTakeTheirTurn) {
  const auto writer = event_writer(kInfo);
  writer->piece(call(0, "f", "{"));
  for (std::size_t i = 0; i < Blocks::kWaitingMax; ++i)
    EXPECT_EQ(writer->piece(i % 2 == 0 ? text("a") : thought("b")), "");
  EXPECT_NE(writer->piece(text("a")), "");
  for (const int index : {-1, static_cast<int>(Blocks::kCallsMax)})
    EXPECT_EQ(writer->piece(call(index, "g", "{}")), "");
}

TEST(AnthropicEvents, WhoCallsToolsHasStoppedForThem) {
  const std::string tool_use = R"("stop_reason":"tool_use","stop_sequence":null)";
  for (const auto make : {event_writer, body_writer}) {
    const auto writer = make(kInfo);
    std::string all = writer->begin({}) + writer->piece(call(0, "f", "{}"));
    all += writer->end(ending(FinishReason::stop));
    EXPECT_NE(all.find(tool_use), all.npos) << all;
  }
  const auto cut = body_writer(kInfo);
  cut->piece(call(0, "f", "{}"));
  EXPECT_NE(cut->end(ending(FinishReason::length)).find("max_tokens"), std::string::npos);
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
  writer->piece(call(0, "lost", "{"));
  writer->afresh();
  writer->piece(text("kept"));
  const std::string body = writer->end(ending(FinishReason::stop));
  EXPECT_EQ(body.find("lost"), body.npos);
  EXPECT_NE(body.find(R"([{"type":"text","text":"kept"}])"), body.npos);
  EXPECT_NE(body.find("end_turn"), body.npos) << "the call is forgotten";
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
