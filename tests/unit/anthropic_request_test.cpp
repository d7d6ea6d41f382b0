#include "gateway/anthropic/messages_request.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace spillway::anthropic {
namespace {

constexpr const char* kHead = R"({"model":"m","max_tokens":64,)";
constexpr const char* kHi = R"("messages":[{"role":"user","content":"hi"}])";

std::string with(const std::string& members) {
  return kHead + std::string(kHi) + "," + members + "}";
}

MessagesRequest read(const std::string& body) {
  auto read = parse_messages(body, Limit::required);
  EXPECT_TRUE(read) << body << (read ? "" : read.error().message);
  return read ? *read : MessagesRequest{};
}

std::string chat_of(const std::string& members) {
  const MessagesRequest request = read(kHead + members + "}");
  EXPECT_EQ(request.beyond.words, "");
  return request.chat;
}

// Holds for requests that a chat completion says in full.
void says(const std::string& members, const std::string& chat) {
  EXPECT_EQ(chat_of(members), R"({"model":"m",)" + chat.substr(0, chat.find("<limit>")) +
                                  R"("max_completion_tokens":64)" +
                                  chat.substr(chat.find("<limit>") + 7) + "}");
}

std::string param_of(const std::string& body) {
  const auto read = parse_messages(body, Limit::required);
  return read ? "(taken)" : read.error().param;
}

TEST(AnthropicRequest, SaysTextInChatsWords) {
  says(kHi, R"("messages":[{"role":"user","content":"hi"}],<limit>)");
  says(
      R"("system":"be kind","messages":[{"role":"user","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}])",
      R"("messages":[{"role":"system","content":"be kind"},{"role":"user","content":"ab"}],<limit>)");
}

TEST(AnthropicRequest, SaysImagesAsTheirAddresses) {
  says(R"("messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64",)"
       R"("media_type":"image/png","data":"QUJD"}},{"type":"text","text":"what?"},)"
       R"({"type":"image","source":{"type":"url","url":"https://a/b"}}]}])",
       R"("messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":)"
       R"("data:image/png;base64,QUJD"}},{"type":"text","text":"what?"},)"
       R"({"type":"image_url","image_url":{"url":"https://a/b"}}]}],<limit>)");
}

TEST(AnthropicRequest, SaysCallsAndTheirResults) {
  says(R"("messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[)"
       R"({"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"let me"},)"
       R"({"type":"tool_use","id":"t1","name":"look","input":{"b":1,"a":2}}]},)"
       R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,)"
       R"("content":[{"type":"text","text":"gone"}]},{"type":"text","text":"and?"}]}])",
       R"("messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"let me",)"
       R"("reasoning_content":"hm","tool_calls":[{"id":"t1","type":"function","function":)"
       R"({"name":"look","arguments":"{\"b\":1,\"a\":2}"}}]},{"role":"tool","tool_call_id":"t1",)"
       R"("content":"Error: gone"},{"role":"user","content":"and?"}],<limit>)");
  EXPECT_TRUE(read(kHead + std::string(R"("messages":[{"role":"user","content":[{"type":)") +
                   R"("tool_result","tool_use_id":"t1"}]}]})")
                  .beyond.tools);
}

TEST(AnthropicRequest, SaysToolsInTheClientsOrder) {
  says(std::string(kHi) +
           R"(,"tools":[{"name":"look","description":"d","input_schema":{"type":"object",)"
           R"("properties":{"z":{},"a":{}}}}],"tool_choice":{"type":"any",)"
           R"("disable_parallel_tool_use":true})",
       R"("messages":[{"role":"user","content":"hi"}],<limit>,"tools":[{"type":"function",)"
       R"("function":{"name":"look","description":"d","parameters":{"type":"object",)"
       R"("properties":{"z":{},"a":{}}}}}],"parallel_tool_calls":false,"tool_choice":"required")");
  says(std::string(kHi) + R"(,"tool_choice":{"type":"tool","name":"look"})",
       R"("messages":[{"role":"user","content":"hi"}],<limit>,"tool_choice":{"type":"function",)"
       R"("function":{"name":"look"}})");
}

TEST(AnthropicRequest, SaysSettings) {
  says(std::string(kHi) +
           R"(,"temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["x"],"metadata":)"
           R"({"user_id":"u"},"service_tier":"standard_only","output_config":{"effort":"max",)"
           R"("format":{"type":"json_schema","schema":{"z":1,"a":2}}},"stream":true)",
       R"("messages":[{"role":"user","content":"hi"}],<limit>,"temperature":0.5,"top_p":0.9,)"
       R"("top_k":5,"stop":["x"],"reasoning_effort":"max","response_format":{"type":)"
       R"("json_schema","json_schema":{"name":"output","strict":true,"schema":{"z":1,"a":2}}},)"
       R"("service_tier":"default","user":"u","stream":true)");
}

TEST(AnthropicRequest, MarksWhatChatCannotSay) {
  const auto beyond = [](const std::string& body) { return read(body).beyond.words; };
  EXPECT_EQ(beyond(with(R"("container":"c")")), "'container'");
  EXPECT_EQ(beyond(with(R"("container":null)")), "");
  EXPECT_EQ(beyond(with(R"("stop_sequences":["1","2","3","4"])")), "");
  EXPECT_EQ(beyond(with(R"("stop_sequences":["1","2","3","4","5"])")),
            "more than 4 stop_sequences");
  EXPECT_EQ(beyond(with(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])")),
            "the tool 'web_search_20250305'");
  EXPECT_EQ(beyond(with(R"("tools":[{"name":"t","input_schema":{},"defer_loading":true}])")),
            "a tool's 'defer_loading'");
  EXPECT_EQ(beyond(kHead + std::string(R"("messages":[{"role":"user","content":[{"type":)") +
                   R"("document","source":{}}]}]})"),
            "a content block of type 'document'");
  EXPECT_EQ(beyond(kHead + std::string(R"("messages":[{"role":"user","content":"hi"},)") +
                   R"({"role":"assistant","content":"I"}]})"),
            "an answer that has begun");
}

TEST(AnthropicRequest, TellsWhatAProviderReadsThatIsNotInIt) {
  const auto unsent = [](const std::string& body) { return read(with(body)).beyond.unsent; };
  EXPECT_EQ(unsent(R"("thread":{"type":"continue","previous_message_id":"msg_1"})"),
            "earlier turns of a thread");
  EXPECT_EQ(unsent(R"("thread":{"type":"create"})"), "");
  EXPECT_EQ(unsent(R"("mcp_servers":[{"type":"url","url":"https://a.b"}])"),
            "what MCP servers answer");
  EXPECT_EQ(unsent(R"("mcp_servers":[])"), "");
  EXPECT_EQ(unsent(R"("fallbacks":[{"model":"m2"}])"), "what the models of 'fallbacks' ask");
  EXPECT_EQ(unsent(R"("models":["m2"])"), "what the models of 'models' ask");
  EXPECT_EQ(unsent(R"("plugins":[{"id":"web"}])"), "what 'plugins' finds");
  EXPECT_EQ(unsent(R"("provider":{"order":["dear"]})"), "what 'provider' chooses");
  EXPECT_EQ(unsent(R"("context_management":{"edits":[{"type":"compact_20260112"}]})"),
            "the prompt again for its compaction");
  EXPECT_EQ(unsent(R"("context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]})"), "");
}

TEST(AnthropicRequest, ReckonsWithWhatIsWrittenForToolsOfAnthropics) {
  const auto added = [](const std::string& tools) {
    return read(with(R"("tools":[)" + tools + "]")).beyond.added_tokens;
  };
  const std::string bash = R"({"type":"bash_20250124","name":"bash"})";
  EXPECT_EQ(added(R"({"name":"t","input_schema":{}})"), 0) << "it is in the request";
  EXPECT_EQ(added(bash), 2'000);
  EXPECT_EQ(added(bash + R"(,{"type":"browser_toolset_20260801"})"), 10'000);
  EXPECT_EQ(
      added(R"({"type":"web_fetch_20250910","name":"f","max_uses":2,"max_content_tokens":9})"),
      2'000 + 3 * 9);
}

TEST(AnthropicRequest, NamesWhatIsWrong) {
  EXPECT_EQ(param_of(R"({"max_tokens":1,"messages":[{"role":"user","content":"hi"}]})"), "model");
  EXPECT_EQ(param_of(R"({"model":"m","messages":[{"role":"user","content":"hi"}]})"), "max_tokens");
  EXPECT_EQ(param_of(kHead + std::string(R"("messages":[]})")), "messages");
  EXPECT_EQ(param_of(kHead + std::string(R"("messages":[{"role":"tool","content":"x"}]})")),
            "messages[0].role");
  EXPECT_EQ(param_of(kHead + std::string(R"("messages":[{"role":"user","content":[{}]}]})")),
            "messages[0].content[0].type");
  EXPECT_EQ(param_of(with(R"("temperature":1.5)")), "temperature");
  EXPECT_EQ(param_of(with(R"("temperature":1)")), "(taken)");
  EXPECT_EQ(param_of(with(R"("stop_sequences":[""])")), "stop_sequences[0]");
  EXPECT_EQ(param_of(with(R"("thinking":{"type":"enabled","budget_tokens":1024})")),
            "thinking.budget_tokens");
  EXPECT_EQ(param_of(with(R"("tools":[{"name":"a b","input_schema":{}}])")), "tools[0].name");
  EXPECT_EQ(param_of(with(R"("tool_choice":{"type":"tool"})")), "tool_choice.name");
}

TEST(AnthropicRequest, CountsPromptsWithoutALimit) {
  const std::string body = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";
  EXPECT_TRUE(parse_messages(body, Limit::none));
}

TEST(AnthropicRequest, CountsPicturesAndDocumentsThatChatCannotSay) {
  const auto media = [](const std::string& block) {
    const std::string result =
        R"({"type":"tool_result","tool_use_id":"t","content":[)" + block + "]}";
    return std::pair(
        read(kHead + (R"("messages":[{"role":"user","content":[)" + block) + "]}]}").beyond.media,
        read(kHead + (R"("messages":[{"role":"user","content":[)" + result) + "]}]}").beyond.media);
  };
  const auto document = [](const std::string& source) {
    return R"({"type":"document","source":)" + source + "}";
  };
  EXPECT_EQ(media(document(R"({"type":"url","url":"https://a/b"})")), std::pair(1, 1));
  EXPECT_EQ(media(document(R"({"type":"file","file_id":"f"})")), std::pair(1, 1));
  EXPECT_EQ(media(document(R"({"type":"base64","data":"QUJD"})")), std::pair(1, 1));
  EXPECT_EQ(media(document(R"({"type":"text","data":"abc"})")), std::pair(0, 0));
  EXPECT_EQ(media(R"({"type":"image","source":{"type":"file","file_id":"f"}})"), std::pair(1, 1));
  EXPECT_EQ(media(R"({"type":"text","text":"a"})"), std::pair(0, 0));
  // Those that chat says are counted there.
  EXPECT_EQ(media(R"({"type":"image","source":{"type":"url","url":"https://a"}})"),
            std::pair(0, 1));
}

}  // namespace
}  // namespace spillway::anthropic
