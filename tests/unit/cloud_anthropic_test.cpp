// What a provider that speaks Anthropic's messages is sent of what a client said in them.
#include "backends/cloud/dialects/dialect.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace spillway::cloud {
namespace {

ChatRequest said(std::string body) {
  ChatRequest request;
  request.original = Original{"messages", std::move(body), ""};
  request.body = R"({"messages":[{"role":"user","content":"translated"}]})";
  return request;
}

Result<std::string> sent(const ChatRequest& request, const Manner& manner = {}) {
  return dialect_named("anthropic")->request_body(request, "up", manner);
}

ChatRequest cut(std::string body, int tokens_max) {
  ChatRequest request = said(std::move(body));
  request.sampling.tokens_max = tokens_max;
  request.cut_short = true;
  return request;
}

TEST(AnthropicForwarded, ByteForByteButForTheModel) {
  const std::string rest = R"("max_tokens":1e3,"system":[ {"cache_control":{"x":"\u00e9"}} ])";
  EXPECT_EQ(*sent(said(R"({"model":"m",)" + rest + "}")), R"({"model":"up",)" + rest + "}");
}

TEST(AnthropicForwarded, CutShortOnlyTheLimitIsAnother) {
  EXPECT_EQ(*sent(cut(R"({"model":"m","max_tokens":1000,"system":[{"cache_control":{}}],)"
                      R"("container":"c"})",
                      30)),
            R"({"model":"up","max_tokens":30,"system":[{"cache_control":{}}],"container":"c"})");
  EXPECT_EQ(*sent(cut(R"({"max_tokens":5,"max_tokens":1000,"max\u005ftokens":2000,"a":1})", 30)),
            R"({"model":"up","max_tokens":30,"a":1})");
  EXPECT_EQ(*sent(cut(R"({"a":1})", 30)), R"({"model":"up","max_tokens":30,"a":1})");
  EXPECT_EQ(*sent(said(R"({"max_tokens":5,"a":1,"max\u005ftokens":2000})")),
            R"({"model":"up","max_tokens":2000,"a":1})");
  ChatRequest only = cut(R"({"max_tokens":1000})", 30);
  only.original->only = "'container'";
  EXPECT_EQ(*sent(only), R"({"model":"up","max_tokens":30})");
}

TEST(AnthropicForwarded, EachFieldOnceAsItWasReadHere) {
  EXPECT_EQ(
      *sent(said(R"({"a":1,"tools":[],"system":"x","t\u006fols":[{}],"a":2,"speed":"fast"})")),
      R"({"model":"up","a":2,"tools":[{}],"system":"x"})");
  const auto moved = sent(said(R"({"inference_geo":null,"inference_geo":"us"})"));
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().param, "inference_geo");
}

TEST(AnthropicForwarded, ThinkingThatIsNotPaidForIsForAnother) {
  const std::string body =
      R"({"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":1024}})";
  EXPECT_TRUE(sent(said(body)));
  EXPECT_TRUE(sent(cut(body, 1025)));
  const auto refused = sent(cut(body, 1024));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  EXPECT_EQ(refused.error().param, "thinking");
}

TEST(AnthropicTranslated, ThinkingThatIsNotPaidForIsForAnother) {
  ChatRequest chat;
  chat.body = R"({"messages":[{"role":"user","content":"hi"}],)"
              R"("thinking":{"type":"enabled","budget_tokens":1024}})";
  chat.sampling.tokens_max = 1024;
  EXPECT_TRUE(sent(chat));
  chat.cut_short = true;
  const auto refused = sent(chat);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "thinking");
  chat.sampling.tokens_max = 1025;
  EXPECT_TRUE(sent(chat));
}

std::string forwarded_messages(const std::string& messages) {
  const std::string body = *sent(said(R"({"messages":)" + messages + "}"));
  const std::string head = R"({"model":"up","messages":)";
  EXPECT_TRUE(body.starts_with(head)) << body;
  return body.substr(head.size(), body.size() - head.size() - 1);
}

TEST(AnthropicForwarded, WhatOthersThoughtStaysHere) {
  const std::string own = R"({ "type":"thinking","thinking":"a","signature":"S" })";
  const std::string others = R"({"type":"th\u0069nking","thinking":"b","signature":""})";
  const std::string text = R"({"type":"text","text":"\u00e9" })";
  const std::string user = R"({"role": "user","content":"hi" })";
  const auto answer = [](const std::string& blocks) {
    return R"({"content": [)" + blocks + R"(] ,"role":"assistant"})";
  };
  const std::string untouched = "[ " + user + " , " + answer(own + " , " + text) + " ]";
  EXPECT_EQ(forwarded_messages(untouched), untouched);
  EXPECT_EQ(forwarded_messages("[" + user + "," + answer(others + " , " + text + "," + own) + "]"),
            "[" + user + "," + answer(text + "," + own) + "]");
  EXPECT_EQ(forwarded_messages("[" + answer(R"({"type":"thinking","thinking":"b"})") + "," + user +
                               "," + answer(others + "," + others) + "]"),
            "[" + user + "]");
}

TEST(AnthropicTranslated, ATurnWithinItsCallsDoesNotThink) {
  const auto thinks = [](std::string messages) {
    ChatRequest request;
    request.body =
        R"({"thinking":{"type":"enabled","budget_tokens":1024},"messages":[)" + messages + "]}";
    return sent(request)->find("budget_tokens") != std::string::npos;
  };
  const std::string user = R"({"role":"user","content":"a"})";
  const std::string call =
      R"(,{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",)"
      R"("function":{"name":"f","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"c","content":"b"})";
  EXPECT_TRUE(thinks(user));
  EXPECT_FALSE(thinks(user + call));
  EXPECT_TRUE(thinks(user + call + R"(,{"role":"assistant","content":"c"},)" + user));
}

TEST(AnthropicTranslated, WhatCannotBeSaidIsNamed) {
  const auto field = [](const std::string& more, const std::string& content = R"("a")") {
    ChatRequest request;
    request.body = R"({"messages":[{"role":"user","content":)" + content + "}]" + more + "}";
    const auto body = sent(request);
    return body ? std::string("said") : body.error().param;
  };
  EXPECT_EQ(field(R"(,"modalities":["text"],"tools":[])"), "said");
  EXPECT_EQ(field(R"(,"modalities":["text","audio"])"), "modalities");
  EXPECT_EQ(field(R"(,"response_format":{"type":"json_object"})"), "response_format");
  EXPECT_EQ(field(R"(,"response_format":{"type":"json_schema"})"), "response_format");
  EXPECT_EQ(field(R"(,"tools":[{"type":"custom","custom":{"name":"f"}}])"), "tools");
  EXPECT_EQ(field(R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{}})"), "tool_choice");
  EXPECT_EQ(field("", R"([{"type":"input_audio","input_audio":{}}])"), "messages");
  EXPECT_EQ(field("", R"([{"type":"image_url","image_url":"https://a.example/b.png"}])"),
            "messages");
}

TEST(AnthropicForwarded, DearerTiersAreNotBoughtUnlessNamed) {
  const std::string tiers = R"("service_tier":"auto","sp\u0065ed":"fast")";
  const ChatRequest request = said("{" + tiers + R"(,"a":1})");
  EXPECT_EQ(*sent(request), R"({"model":"up","a":1})");
  EXPECT_EQ(*sent(request, {.forward_fields = {"*"}}), R"({"model":"up","a":1})");
  EXPECT_EQ(*sent(request, {.forward_fields = {"speed", "service_tier"}}),
            R"({"model":"up",)" + tiers + R"(,"a":1})");
}

TEST(AnthropicForwarded, WhatItsClientSaysOfTheBodyGoesWithIt) {
  ChatRequest request = said("{}");
  const auto lines = [&](const Manner& manner = {}) {
    return dialect_named("anthropic")->headers_of(request, manner);
  };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines(), Lines{"anthropic-version: 2023-06-01"});
  request.original->version = "2024-01-01";
  request.original->betas = {"context-1m-2025-08-07", "files-api-2025-04-14", "a-b"};
  const std::string version = "anthropic-version: 2024-01-01";
  EXPECT_EQ(lines(), (Lines{version, "anthropic-beta: files-api-2025-04-14,a-b"}));
  EXPECT_EQ(lines({.forward_fields = {"anthropic-beta"}}),
            (Lines{version, "anthropic-beta: context-1m-2025-08-07,files-api-2025-04-14,a-b"}));
  request.begun = "An answer";  // Then the body is ours.
  EXPECT_EQ(lines(), Lines{"anthropic-version: 2023-06-01"});
}

TEST(AnthropicForwarded, APlaceIsAPromise) {
  const ChatRequest request = said(R"({"inference_geo":"us"})");
  const auto refused = sent(request, {.forward_fields = {"*"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  EXPECT_EQ(refused.error().param, "inference_geo");
  EXPECT_EQ(*sent(request, {.forward_fields = {"inference_geo"}}),
            R"({"model":"up","inference_geo":"us"})");
  EXPECT_TRUE(sent(said(R"({"inference_geo":null})")));
}

TEST(AnthropicTranslated, NothingThatWouldBeRefused) {
  ChatRequest request;
  request.body =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"a"}]}],)"
      R"("tools":[{"type":"function","function":{"name":"f"}}]})";
  EXPECT_EQ(*sent(request),
            R"({"model":"up","max_tokens":8192,"tools":[{"name":"f","input_schema":)"
            R"({"type":"object","properties":{}}}],)"
            R"("messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]})");
}

}  // namespace
}  // namespace spillway::cloud
