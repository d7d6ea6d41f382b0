// What a client reads: every error, the chunks of a stream, a whole answer, the models.
#include "gateway/openai/chat_protocol.h"
#include "gateway/openai/chat_response.h"
#include "gateway/openai/models.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;
using wire::ErrorReply;

ChatAnswerInfo info(bool include_usage = false) {
  return {"chatcmpl-1", "m", 1'700'000'000, "", include_usage};
}

// The JSON of one "data: …" event.
Json event(const std::string& text) {
  EXPECT_TRUE(text.starts_with("data: ")) << text;
  EXPECT_TRUE(text.ends_with("\n\n")) << text;
  EXPECT_EQ(text.find("\n\n"), text.size() - 2) << text;
  return Json::parse(text.substr(6));
}

TEST(Errors, TheWholeTableIsTheGoldenFile) {
  std::ostringstream table;
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code) {
    const Error error{static_cast<Errc>(code), "m", "", std::nullopt};
    const ErrorReply reply = wire::error_reply(error);
    table << name_of(error.code) << " | " << reply.status << " | " << reply.body;
    for (const auto& [name, value] : reply.headers) table << " | " << name << ": " << value;
    table << "\n";
    EXPECT_EQ(wire::status_of(error.code), reply.status);
  }
  std::ifstream file(SPILLWAY_SOURCE_DIR "/tests/golden/openai_errors.txt");
  const std::string golden{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(table.str(), golden);
}

TEST(Errors, CarryParamAndRetryAdvice) {
  const Error error{Errc::rate_limited, "say \"less\"\n", "messages[0]", 1'200ms};
  const ErrorReply reply = wire::error_reply(error);
  const Json body = Json::parse(reply.body).at("error");
  EXPECT_EQ(body.at("message"), "say \"less\"\n");
  EXPECT_EQ(body.at("param"), "messages[0]");
  const std::vector<std::pair<std::string, std::string>> headers = {{"retry-after", "2"},
                                                                    {"retry-after-ms", "1200"}};
  EXPECT_EQ(reply.headers, headers);
  const Error upstream{Errc::backend_unavailable, "m", "", 500ms};
  EXPECT_EQ(wire::error_reply(upstream).headers.at(0).second, "1");
}

TEST(ChatWriter, WritesTheChunksClientsExpect) {
  ChatWriter writer(info());
  const Json first = event(writer.first_chunks());
  EXPECT_EQ(first.at("object"), "chat.completion.chunk");
  EXPECT_EQ(first.at("id"), "chatcmpl-1");
  EXPECT_EQ(first.at("model"), "m");
  EXPECT_EQ(first.at("created"), 1'700'000'000);
  EXPECT_FALSE(first.contains("usage"));
  EXPECT_FALSE(first.contains("service_tier"));
  const Json& choice = first.at("choices").at(0);
  EXPECT_EQ(choice.at("index"), 0);
  EXPECT_EQ(choice.at("delta").at("role"), "assistant");
  EXPECT_EQ(choice.at("delta").at("content"), "");
  EXPECT_TRUE(choice.at("finish_reason").is_null());
  EXPECT_TRUE(choice.at("logprobs").is_null());

  Delta delta;
  delta.text = "a \"b\"\n\xF0\x9F\x98\x80\x01";
  const Json second = event(writer.delta(delta));
  EXPECT_EQ(second.at("choices").at(0).at("delta"), Json({{"content", delta.text}}));
  EXPECT_EQ(second.at("created"), first.at("created"));

  const Json last = event(writer.finish(FinishReason::length));
  EXPECT_EQ(last.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(last.at("choices").at(0).at("delta"), Json::object());
  EXPECT_EQ(writer.usage({}), "");
  EXPECT_EQ(ChatWriter::done(), "data: [DONE]\n\n");
}

TEST(ChatWriter, UsageIsNullUntilItsOwnChunk) {
  auto asked = info(true);
  asked.service_tier = "default";
  ChatWriter writer(asked);
  for (const std::string& text : {writer.first_chunks(), writer.finish(FinishReason::stop)}) {
    EXPECT_TRUE(event(text).at("usage").is_null());
    EXPECT_EQ(event(text).at("service_tier"), "default");
  }
  const Json chunk = event(writer.usage({10, 5, 4, 2}));
  EXPECT_EQ(chunk.at("choices"), Json::array());
  EXPECT_EQ(chunk.at("usage"), Json::parse(R"({"prompt_tokens":10,"completion_tokens":5,
    "total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},
    "completion_tokens_details":{"reasoning_tokens":2}})"));
}

TEST(ChatWriter, DeltasOfAllKinds) {
  ChatWriter writer(info());
  EXPECT_EQ(writer.delta({}), "");
  Delta delta;
  delta.choice = 2;
  delta.reasoning = "hm";
  delta.text = "so";
  delta.extra = R"( {"tool_calls":[{"index":0}]} )";
  const Json choice = event(writer.delta(delta)).at("choices").at(0);
  EXPECT_EQ(choice.at("index"), 2);
  EXPECT_EQ(choice.at("delta"), Json::parse(R"({"reasoning_content":"hm","content":"so",
                                               "tool_calls":[{"index":0}]})"));
  Delta only_extra;
  only_extra.extra = R"({"refusal":"no"})";
  EXPECT_EQ(event(writer.delta(only_extra)).at("choices").at(0).at("delta"),
            Json({{"refusal", "no"}}));
  Delta nothing;
  nothing.extra = "{}";
  EXPECT_EQ(writer.delta(nothing), "");
}

TEST(ChatWriter, BytesThatAreNotUtf8AreReplaced) {
  ChatWriter writer(info());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\xff", "\uFFFD"},           {"a\xE2\x82", "a\uFFFD\uFFFD"},
      {"\xC0\x80", "\uFFFD\uFFFD"}, {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xE2\x82\xAC", "\u20AC"},   {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"}};
  for (const auto& [raw, written] : cases) {
    Delta delta;
    delta.text = raw;
    EXPECT_EQ(event(writer.delta(delta)).at("choices").at(0).at("delta").at("content"), written);
  }
}

TEST(ChatAnswer, HasEveryKeyThatClientsRead) {
  ChatAnswer answer;
  Delta delta;
  delta.text = "Hel";
  answer.add(delta);
  delta.text = "lo";
  delta.finish = FinishReason::length;
  delta.usage = Usage{3, 2, 0, 0};
  answer.add(delta);
  EXPECT_EQ(Json::parse(answer.body(info())), Json::parse(R"({"id":"chatcmpl-1",
    "object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,
    "message":{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,
    "finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,
    "prompt_tokens_details":{"cached_tokens":0},
    "completion_tokens_details":{"reasoning_tokens":0}}})"));
}

// Processor time, so that a busy machine does not count.
std::clock_t ticks_of(const auto& work) {
  const std::clock_t began = std::clock();
  work();
  return std::clock() - began;
}

TEST(ChatAnswer, JoinsManyPiecesInTheTimeThatReadingThemTakes) {
  ChatAnswer answer;
  Delta piece;
  constexpr std::size_t kPieces = 20'000, kBytes = 1'000;
  piece.extra = R"({"refusal":"xxxx","tool_calls":[{"index":0,"function":{"arguments":")" +
                std::string(kBytes, 'y') + R"("}}]})";
  for (std::size_t i = 0; i < kPieces; ++i) answer.add(piece);
  const auto reading = ticks_of([&] {
    for (std::size_t i = 0; i < kPieces; ++i) EXPECT_TRUE(Json::parse(piece.extra).is_object());
  });
  std::string body;
  EXPECT_LT(ticks_of([&] { body = answer.body(info()); }), 4 * reading);
  const Json message = Json::parse(body).at("choices").at(0).at("message");
  EXPECT_EQ(message.at("refusal").get<std::string>().size(), 4 * kPieces);
  const Json& arguments = message.at("tool_calls").at(0).at("function").at("arguments");
  EXPECT_EQ(arguments.get<std::string>().size(), kBytes * kPieces);
}

TEST(ChatAnswer, JoinsToolCallsOutOfTheirPieces) {
  ChatAnswer answer;
  for (
      const char* extra :
      {R"({"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]})",
       R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]})",
       R"({"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]})",
       R"({"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]})", "broken"}) {
    Delta delta;
    delta.extra = extra;
    answer.add(delta);
  }
  Delta last;
  last.finish = FinishReason::tool_calls;
  answer.add(last);
  const Json message = Json::parse(answer.body(info())).at("choices").at(0).at("message");
  EXPECT_TRUE(message.at("content").is_null());
  EXPECT_EQ(message.at("tool_calls"), Json::parse(R"([
    {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
    {"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}])"));
}

TEST(ChatAnswer, ACallOfAFunctionHasItsOwnWord) {
  Delta call;
  call.extra = R"({"function_call":{"name":"f","arguments":"{}"}})";
  Delta other;
  other.extra = R"({"tool_calls":[{"index":0,"function":{"arguments":"\"function_call\":1"}}]})";
  const auto finish_of = [](const Delta& delta, FinishReason reason) {
    ChatWriter writer(info());
    writer.delta(delta);
    ChatAnswer answer;
    answer.add(delta);
    answer.add({.finish = reason});
    const Json choice = Json::parse(answer.body(info())).at("choices").at(0);
    EXPECT_TRUE(choice.at("message").at("content").is_null());
    EXPECT_EQ(choice.at("finish_reason"),
              event(writer.finish(reason)).at("choices").at(0).at("finish_reason"));
    return choice.at("finish_reason");
  };
  EXPECT_EQ(finish_of(call, FinishReason::tool_calls), "function_call");
  EXPECT_EQ(finish_of(call, FinishReason::length), "length");
  EXPECT_EQ(finish_of(other, FinishReason::tool_calls), "tool_calls");
}

TEST(ChatAnswer, ReasoningAndRefusal) {
  ChatAnswer answer;
  Delta delta;
  delta.reasoning = "think";
  delta.extra = R"({"refusal":"I can"})";
  answer.add(delta);
  delta.reasoning = "ing";
  delta.extra = R"({"refusal":"not"})";
  answer.add(delta);
  const Json message = Json::parse(answer.body(info())).at("choices").at(0).at("message");
  EXPECT_EQ(message.at("reasoning_content"), "thinking");
  EXPECT_EQ(message.at("refusal"), "I cannot");
}

wire::Asked ask(std::string members) {
  const ChatProtocol protocol;
  wire::Call call{"req_12ab", "team", 1'700'000'000,
                  R"({"model":"m","messages":[{"role":"user","content":"hi"}])" + members + "}"};
  boost::asio::io_context io;
  auto asked = boost::asio::co_spawn(io, protocol.parse(std::move(call)), boost::asio::use_future);
  io.run();
  return std::move(asked.get().value());
}

// The events of `text`.
std::vector<std::string> events(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\n\n", at) + 2;
    all.push_back(text.substr(at, end - at));
    at = end;
  }
  return all;
}

TEST(ChatProtocol, SaysAStream) {
  const auto asked = ask(R"(,"stream":true,"stream_options":{"include_usage":true})");
  wire::AnswerWriter& writer = *asked.writer;
  const Json first = event(writer.begin({"default"}));
  EXPECT_EQ(first.at("id"), "chatcmpl-12ab");
  EXPECT_EQ(first.at("created"), 1'700'000'000);
  EXPECT_EQ(first.at("service_tier"), "default");
  Delta delta;
  delta.text = "so";
  delta.finish = FinishReason::stop;
  EXPECT_EQ(event(writer.piece(delta)).at("choices").at(0).at("finish_reason"), nullptr);
  const auto last = events(writer.end({{FinishReason::stop}, {3, 2, 0, 0}}));
  ASSERT_EQ(last.size(), 3u);
  EXPECT_EQ(event(last[0]).at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(event(last[1]).at("usage").at("total_tokens"), 5);
  EXPECT_EQ(last[2], "data: [DONE]\n\n");
  const Error error{Errc::rate_limited, "m", "", std::nullopt};
  EXPECT_EQ(event(writer.failed(error)), Json::parse(wire::error_object(error)));
}

TEST(ChatProtocol, SaysAWholeAnswerOfTheLastTargetAlone) {
  const auto asked = ask("");
  wire::AnswerWriter& writer = *asked.writer;
  EXPECT_EQ(writer.begin({"flex"}), "");
  Delta delta;
  delta.text = "lost";
  EXPECT_EQ(writer.piece(delta), "");
  writer.afresh();
  delta.text = "kept";
  EXPECT_EQ(writer.piece(delta), "");
  const Json body = Json::parse(writer.end({{FinishReason::length}, {3, 2, 0, 0}}));
  EXPECT_EQ(body.at("service_tier"), "flex");
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "kept");
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(body.at("usage").at("total_tokens"), 5);
}

TEST(ChatProtocol, SaysEachChoiceAndItsLogprobs) {
  const auto streamed = ask(R"(,"n":2,"stream":true,"logprobs":true)");
  const auto whole = ask(R"(,"n":2,"logprobs":true)");
  EXPECT_EQ(events(streamed.writer->begin({})).size(), 2u);
  for (const auto& [choice, text] : {std::pair(1, "b"), {0, "a"}, {1, "c"}}) {
    Delta delta;
    delta.choice = choice;
    delta.text = text;
    delta.logprobs = R"({"content":[{"token":")" + delta.text + R"("}],"refusal":null})";
    const Json said = event(streamed.writer->piece(delta)).at("choices").at(0);
    EXPECT_EQ(said.at("index"), choice);
    EXPECT_EQ(said.at("logprobs"), Json::parse(delta.logprobs));
    whole.writer->piece(delta);
  }
  const wire::Ending ending{{FinishReason::length, FinishReason::stop}, {3, 2, 0, 0}};
  const auto last = events(streamed.writer->end(ending));
  ASSERT_EQ(last.size(), 3u);
  EXPECT_EQ(event(last[0]).at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(event(last[1]).at("choices").at(0).at("index"), 1);
  const Json choices = Json::parse(whole.writer->end(ending)).at("choices");
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_EQ(choices[1].at("message").at("content"), "bc");
  EXPECT_EQ(choices[1].at("finish_reason"), "stop");
  EXPECT_EQ(choices[1].at("logprobs"),
            Json::parse(R"({"content":[{"token":"b"},{"token":"c"}],"refusal":null})"));
}

TEST(ChatIds, ComeFromTheRequest) { EXPECT_EQ(chat_completion_id("req_12ab"), "chatcmpl-12ab"); }

TEST(Models, ListAndObject) {
  const ModelCard card{"org/\"m\"", 1'700'000'000, "local"};
  const Json object = Json::parse(model_object(card));
  EXPECT_EQ(object, Json::parse(R"({"id":"org/\"m\"","object":"model","created":1700000000,
                                   "owned_by":"local"})"));
  EXPECT_EQ(Json::parse(model_list({card, card})),
            Json({{"object", "list"}, {"data", {object, object}}}));
  EXPECT_EQ(Json::parse(model_list({})), Json({{"object", "list"}, {"data", Json::array()}}));
}

}  // namespace
}  // namespace spillway::openai
