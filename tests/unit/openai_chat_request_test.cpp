// Which chat requests are taken, what is read from them, and how the others are refused.
#include "gateway/openai/chat_request.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway::openai {
namespace {

// A good request with `members` in front ("\"n\":1,").
std::string request(const std::string& members) {
  return "{" + members + R"("model":"m","messages":[{"role":"user","content":"hi"}]})";
}

std::shared_ptr<const ChatRequest> accepted(const std::string& body) {
  auto parsed = parse_chat(body);
  EXPECT_TRUE(parsed) << body << "\n" << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : std::make_shared<ChatRequest>();
}

Error refused(const std::string& body) {
  auto parsed = parse_chat(body);
  EXPECT_FALSE(parsed) << body;
  if (parsed) return {};
  EXPECT_EQ(parsed.error().code, Errc::invalid_request);
  EXPECT_FALSE(parsed.error().message.empty());
  return parsed.error();
}

TEST(ParseChat, ReadsWhatItIsGiven) {
  const std::string body = R"({"model":"org/m","messages":[
    {"role":"system","content":"Be brief."},
    {"role":"user","name":"Ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"assistant","content":null,"tool_calls":[]},
    {"role":"tool","tool_call_id":"c","content":"42"},
    {"role":"developer","content":"d"},{"role":"function","name":"f","content":"x"}],
    "temperature":0,"top_p":0.5,"top_k":40,"min_p":0.1,"frequency_penalty":-2,"presence_penalty":2,
    "repetition_penalty":1.1,"seed":18446744073709551615,"stop":["a","b"],"max_tokens":7,
    "min_tokens":3,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true},
    "service_tier":"flex","thinking":{"type":"enabled"}})";
  const auto chat = accepted(body);
  EXPECT_EQ(chat->model, "org/m");
  ASSERT_EQ(chat->messages.size(), 6u);
  EXPECT_EQ(chat->messages[0].role, Role::system);
  EXPECT_EQ(chat->messages[1].content, "ab");
  EXPECT_EQ(chat->messages[1].name, "Ann");
  EXPECT_EQ(chat->messages[2].role, Role::assistant);
  EXPECT_EQ(chat->messages[3].role, Role::tool);
  EXPECT_EQ(chat->messages[4].role, Role::developer);
  EXPECT_EQ(chat->messages[5].role, Role::tool);
  const Sampling& sampling = chat->sampling;
  EXPECT_EQ(sampling.temperature, 0.0);
  EXPECT_EQ(sampling.top_p, 0.5);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.1);
  EXPECT_EQ(sampling.frequency_penalty, -2.0);
  EXPECT_EQ(sampling.presence_penalty, 2.0);
  EXPECT_EQ(sampling.repetition_penalty, 1.1);
  EXPECT_EQ(sampling.seed, 18446744073709551615ULL);
  EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sampling.tokens_max, 7);
  EXPECT_EQ(sampling.tokens_min, 3);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_TRUE(chat->stream);
  EXPECT_TRUE(chat->include_usage);
  EXPECT_EQ(chat->service_tier, "flex");
  EXPECT_EQ(chat->needs, Need::sampling | Need::thinking);
  EXPECT_EQ(chat->body, body);
}

TEST(ParseChat, NullMeansAbsent) {
  std::string nulls;
  for (const char* name : {"temperature",
                           "top_p",
                           "top_k",
                           "min_p",
                           "frequency_penalty",
                           "seed",
                           "stop",
                           "max_tokens",
                           "n",
                           "max_completion_tokens",
                           "stream",
                           "tools",
                           "functions",
                           "response_format",
                           "stream_options",
                           "logprobs",
                           "user",
                           "metadata",
                           "tool_choice",
                           "top_logprobs",
                           "ignore_eos",
                           "store",
                           "logit_bias",
                           "service_tier",
                           "reasoning_effort",
                           "min_tokens",
                           "presence_penalty",
                           "safety_identifier",
                           "parallel_tool_calls"}) {
    nulls += "\"" + std::string(name) + "\":null,";
  }
  const auto chat = accepted(request(nulls)), plain = accepted(request(""));
  EXPECT_EQ(chat->sampling.temperature, plain->sampling.temperature);
  EXPECT_EQ(chat->sampling.top_p, 1.0);
  EXPECT_EQ(chat->sampling.tokens_max, std::nullopt);
  EXPECT_FALSE(chat->stream);
}

TEST(ParseChat, RangesAtTheLimitAndPastIt) {
  struct Case {
    std::string param, fits, fails;
  };
  const std::vector<Case> cases = {
      {"temperature", "2", "2.01"},
      {"temperature", "0", "-0.01"},
      {"top_p", "1", "1.01"},
      {"top_p", "0", "-1"},
      {"top_k", "-1", "-2"},
      {"min_p", "1", "1.5"},
      {"frequency_penalty", "-2", "-3"},
      {"presence_penalty", "2", "2.1"},
      {"repetition_penalty", "0.1", "0"},
      {"n", "1", "0"},
      {"n", "128", "129"},
      {"max_tokens", "1", "0"},
      {"max_completion_tokens", "1", "-1"},
      {"max_tokens", "2147483647", "2147483648"},
      {"min_tokens", "0", "-1"},
      {"stop", R"(["a","b","c","d"])", R"(["a","b","c","d","e"])"},
      {"stop", R"("a")", R"("")"},
      {"seed", "-1", "1.5"},
      {"service_tier", R"("priority")", R"("gold")"},
      {"reasoning_effort", R"("xhigh")", R"("huge")"},
      {"safety_identifier", '"' + std::string(64, 'x') + '"', '"' + std::string(65, 'x') + '"'}};
  for (const Case& c : cases) {
    accepted(request("\"" + c.param + "\":" + c.fits + ","));
    EXPECT_EQ(refused(request("\"" + c.param + "\":" + c.fails + ",")).param, c.param);
  }
}

TEST(ParseChat, WrongTypesNameTheField) {
  for (const char* name : {"temperature", "top_p", "top_k", "max_tokens", "stream",
                           "stream_options", "tools", "response_format", "metadata", "logit_bias",
                           "user", "stop", "service_tier", "ignore_eos", "logprobs", "seed", "n"}) {
    const auto error = refused(request("\"" + std::string(name) + "\":[[1]],"));
    EXPECT_EQ(error.param.substr(0, std::string(name).size()), name);
  }
  EXPECT_EQ(refused(request(R"("max_tokens":1.5,)")).param, "max_tokens");
  EXPECT_EQ(refused(request(R"("max_tokens":"10",)")).param, "max_tokens");
  EXPECT_EQ(refused(request(R"("tool_choice":"maybe",)")).param, "tool_choice");
}

TEST(ParseChat, MissingFieldsAndBrokenMessages) {
  EXPECT_EQ(refused("{}").param, "model");
  EXPECT_EQ(refused(R"({"model":"m"})").param, "messages");
  EXPECT_EQ(refused(R"({"model":"","messages":[{"role":"user","content":"a"}]})").param, "model");
  EXPECT_EQ(refused(R"({"model":1,"messages":[]})").param, "model");
  const auto with_messages = [](const std::string& messages) {
    return refused(R"({"model":"m","messages":)" + messages + "}").param;
  };
  EXPECT_EQ(with_messages("[]"), "messages");
  EXPECT_EQ(with_messages("\"hi\""), "messages");
  EXPECT_EQ(with_messages(R"(["hi"])"), "messages[0]");
  EXPECT_EQ(with_messages(R"([{"content":"a"}])"), "messages[0].role");
  EXPECT_EQ(with_messages(R"([{"role":"king","content":"a"}])"), "messages[0].role");
  EXPECT_EQ(with_messages(R"([{"role":"user"}])"), "messages[0].content");
  EXPECT_EQ(with_messages(R"([{"role":"user","content":null}])"), "messages[0].content");
  EXPECT_EQ(with_messages(R"([{"role":"user","content":1}])"), "messages[0].content");
  EXPECT_EQ(with_messages(R"([{"role":"user","content":"a"},{"role":"user","content":[1]}])"),
            "messages[1].content[0]");
  EXPECT_EQ(with_messages(R"([{"role":"user","content":[{"type":"text"}]}])"),
            "messages[0].content[0].text");
}

TEST(ParseChat, KnowsWhatNeedsMoreThanText) {
  const auto image = accepted(
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})");
  EXPECT_EQ(image->needs, Need::images);
  const std::vector<std::pair<std::string, Need>> cases = {
      {R"("tools":[{"type":"function","function":{"name":"get_it-2"}}],"tool_choice":"auto",)",
       Need::tools},
      {R"("functions":[{"name":"f"}],)", Need::tools},
      {R"("response_format":{"type":"json_object"},)", Need::formats},
      {R"("response_format":{"type":"text"},"tools":[],)", Need::nothing},
      {R"("n":1,"logit_bias":{},"logprobs":false,"modalities":["text"],)", Need::nothing},
      {R"("n":2,)", Need::choices},
      {R"("logprobs":true,)", Need::logprobs},
      {R"("logit_bias":{"5":-100},)", Need::logit_bias},
      {R"("modalities":["text","audio"],)", Need::audio},
      {R"("n":128,"logprobs":true,)", Need::choices | Need::logprobs}};
  for (const auto& [members, needs] : cases) EXPECT_EQ(accepted(request(members))->needs, needs);
  EXPECT_EQ(accepted(request(R"("n":128,)"))->choices, 128);
  const auto beyond = accepted(request(R"("regex":"a","top_k":3,"min_p":0,"ebnf":null,)"));
  EXPECT_EQ(beyond->needs, Need::guided | Need::sampling);
  ASSERT_EQ(beyond->beyond.size(), 2u);
  EXPECT_EQ(beyond->beyond[1].field, "top_k");
  const std::vector<std::pair<std::string, Need>> parts = {
      {"input_audio", Need::audio}, {"file", Need::files}, {"new_kind", Need::files}};
  for (const auto& [type, need] : parts) {
    const auto chat = accepted(R"({"model":"m","messages":[{"role":"user","content":[{"type":")" +
                               type + R"("}]}]})");
    EXPECT_EQ(chat->needs, need);
  }
  EXPECT_EQ(
      refused(request(R"("tools":[{"type":"function","function":{"name":"no way"}}],)")).param,
      "tools[0].function.name");
  EXPECT_EQ(refused(request(R"("tools":[{"type":"function"}],)")).param, "tools[0].function");
  EXPECT_EQ(refused(request(R"("response_format":{"type":"json_schema","json_schema":{}},)")).param,
            "response_format.json_schema.name");
}

TEST(ParseChat, KnowsWhatItsBytesDoNotMeasure) {
  const auto unsent = [](const std::string& file) {
    return std::string(accepted(R"({"model":"m","messages":[{"role":"user","content":[)"
                                R"({"type":"file","file":)" +
                                file + "}]}]}")
                           ->unsent);
  };
  const std::string text = R"("file_data":"data:text/plain;base64,aGk=")";
  const std::string elsewhere = "documents by their address";
  EXPECT_EQ(unsent("{" + text + "}"), "");
  EXPECT_EQ(unsent("{" + text + R"(,"file_url":null,"filename":"a"})"), "");
  EXPECT_EQ(unsent(R"({"file_id":"file-1"})"), "") << "who reads the shelf tells";
  EXPECT_EQ(unsent("{" + text + R"(,"file_url":"https://a.b/long.pdf"})"), elsewhere);
  EXPECT_EQ(unsent("{" + text + R"(,"file_id":"file-1"})"), elsewhere);
  EXPECT_EQ(unsent(R"({"file_url":"https://a.b/long.pdf"})"), elsewhere);
  EXPECT_EQ(unsent(R"({"file_data":"https://a.b/long.pdf"})"), elsewhere);
  EXPECT_EQ(unsent(R"({"file_data":7})"), elsewhere);
  EXPECT_EQ(unsent(R"("a")"), elsewhere);
}

TEST(ParseChat, SaysInOpenAisWordsWhatIsWrong) {
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":"a"}]})").kind,
            "missing_required_parameter");
  EXPECT_EQ(refused(R"({"model":"m"})").kind, "missing_required_parameter");
  EXPECT_EQ(refused(request(R"("temperature":"hot",)")).kind, "invalid_type");
  EXPECT_EQ(refused(request(R"("temperature":3,)")).kind, "invalid_value");
  EXPECT_EQ(refused("{").kind, "");
}

TEST(ParseChat, ToolChoiceNamesWhatIsThere) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}},)"
                            R"({"type":"custom","custom":{"name":"c"}}],"tool_choice":)";
  accepted(request(tools + R"({"type":"function","function":{"name":"f"}},)"));
  accepted(request(tools + R"({"type":"custom","custom":{"name":"c"}},)"));
  accepted(request(tools + R"({"type":"allowed_tools","allowed_tools":{}},)"));
  EXPECT_EQ(refused(request(tools + R"({"type":"function"},)")).param, "tool_choice.function");
  EXPECT_EQ(refused(request(tools + R"({"function":{}},)")).param, "tool_choice.type");
  EXPECT_EQ(refused(request(R"("tool_choice":"required",)")).param, "tool_choice");
  accepted(request(R"("tool_choice":"none",)"));
}

TEST(ParseChat, FieldsThatNeedEachOther) {
  EXPECT_EQ(refused(request(R"("stream_options":{"include_usage":true},)")).param,
            "stream_options");
  EXPECT_EQ(refused(request(R"("top_logprobs":2,)")).param, "top_logprobs");
  accepted(request(R"("logprobs":true,"top_logprobs":20,)"));
  EXPECT_EQ(accepted(request(R"("prompt_logprobs":0,)"))->sampling.prompt_logprobs, 0);
  EXPECT_EQ(refused(request(R"("prompt_logprobs":1,"stream":true,)")).param, "prompt_logprobs");
  EXPECT_FALSE(
      accepted(request(R"("prompt_logprobs":0,"stream":true,)"))->sampling.prompt_logprobs);
  EXPECT_EQ(refused(request(R"("max_tokens":2,"min_tokens":3,)")).param, "min_tokens");
  const auto both = accepted(request(R"("max_tokens":6,"max_completion_tokens":6,)"));
  EXPECT_EQ(both->sampling.tokens_max, 6);
  // A provider that knows only one of them would do another thing than was reckoned with.
  EXPECT_EQ(refused(request(R"("max_tokens":5,"max_completion_tokens":6,)")).param, "max_tokens");
}

TEST(ParseChat, Metadata) {
  std::string pairs;
  for (int i = 0; i < 16; ++i) pairs += "\"k" + std::to_string(i) + "\":\"v\",";
  const auto metadata = [](std::string inner) {
    if (!inner.empty()) inner.pop_back();
    return request("\"metadata\":{" + inner + "},");
  };
  accepted(metadata(pairs));
  EXPECT_EQ(refused(metadata(pairs + "\"k16\":\"v\",")).param, "metadata");
  accepted(metadata("\"k\":\"" + std::string(512, 'v') + "\","));
  EXPECT_EQ(refused(metadata("\"k\":\"" + std::string(513, 'v') + "\",")).param, "metadata.k");
  EXPECT_EQ(refused(metadata("\"k\":1,")).param, "metadata.k");
}

TEST(ParseChat, RefusesWhatIsNotJson) {
  for (const std::string& body :
       {std::string(), std::string("hello"), std::string("[]"), std::string("{\"model\":"),
        request("\"temperature\":NaN,"), request("\"temperature\":1e400,"),
        request("\"user\":\"\xff\","), request("\"user\":\"\\ud800\","), request("") + "x",
        request("\"user\":\"a\nb\",")}) {
    EXPECT_EQ(refused(body).param, "");
  }
  accepted(request("\"user\":\"\\ud83d\\ude00\","));
}

TEST(ParseChat, NestingUpToTheLimit) {
  const auto nested = [](int depth) {
    return request("\"x\":" + std::string(depth, '[') + std::string(depth, ']') + ",");
  };
  accepted(nested(63));
  refused(nested(64));
  refused(std::string(1 << 20, '['));
  accepted(request("\"x\":\"" + std::string(200, '[') + "\\\"[\","));
}

TEST(ParseChat, TheMessageNeverQuotesThePrompt) {
  const auto error =
      refused(R"({"model":"m","messages":[{"role":"secret prompt","content":"x"}]})");
  EXPECT_EQ(error.message.find("secret"), std::string::npos);
  EXPECT_EQ(refused(R"({"secret)").message.find("secret"), std::string::npos);
}

TEST(ParseChat, FunctionsAreReadInTheClientsWords) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f","strict":true,
      "parameters":{"z":1,"a":{"b":[]}}}},{"type":"function","function":{"name":"g"}}],)";
  const auto all = accepted(request(tools))->tools;
  ASSERT_TRUE(all);
  ASSERT_EQ(all->functions.size(), 2u);
  EXPECT_EQ(all->functions[0].parameters, R"({"z":1,"a":{"b":[]}})");
  EXPECT_TRUE(all->functions[0].strict);
  EXPECT_EQ(all->functions[1].parameters, "");
  EXPECT_EQ(all->functions[1].field, "tools[1].function.parameters");
  EXPECT_FALSE(all->must_call || all->one_call);
  EXPECT_EQ(all->text.substr(0, 40), R"([{"type":"function","function":{"name":")");

  const auto with = [&](const std::string& more) { return accepted(request(tools + more))->tools; };
  EXPECT_TRUE(with(R"("tool_choice":"none",)")->functions.empty());
  EXPECT_TRUE(with(R"("tool_choice":"required",)")->must_call);
  EXPECT_TRUE(with(R"("parallel_tool_calls":false,)")->one_call);
  const auto named = with(R"("tool_choice":{"type":"function","function":{"name":"g"}},)");
  EXPECT_TRUE(named->must_call);
  ASSERT_EQ(named->functions.size(), 1u);
  EXPECT_EQ(named->functions[0].name, "g");
  const auto allowed = with(R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":
      "auto","tools":[{"type":"function","function":{"name":"f"}}]}},)");
  EXPECT_FALSE(allowed->must_call);
  EXPECT_EQ(allowed->functions.size(), 1u);
  EXPECT_EQ(
      refused(request(tools + R"("tool_choice":{"type":"function","function":{"name":"h"}},)"))
          .param,
      "tool_choice");
  EXPECT_EQ(accepted(request(R"("tools":[{"type":"custom","custom":{"name":"c"}}],)"))->tools,
            nullptr);
}

TEST(ParseChat, EarlierCallsAreRead) {
  const auto chat = accepted(R"({"model":"m","messages":[{"role":"user","content":"?"},
    {"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":[{"id":"c1","type":
     "function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"7"}]})");
  ASSERT_EQ(chat->messages.size(), 3u);
  ASSERT_EQ(chat->messages[1].calls.size(), 1u);
  EXPECT_EQ(chat->messages[1].calls[0].id, "c1");
  EXPECT_EQ(chat->messages[1].calls[0].name, "f");
  EXPECT_EQ(chat->messages[1].calls[0].arguments, R"({"a": 1})");
  EXPECT_EQ(chat->messages[1].reasoning, "Hm.");
  EXPECT_EQ(chat->messages[2].call_id, "c1");
}

TEST(ParseChat, WhatIsLeftOpenIsKnown) {
  const Sampling left = accepted(request(""))->sampling;
  EXPECT_TRUE(left.unsaid.temperature && left.unsaid.top_p && left.unsaid.top_k &&
              left.unsaid.min_p && left.unsaid.repetition_penalty);
  const Sampling said = accepted(request(R"("temperature":1,"top_k":0,)"))->sampling;
  EXPECT_FALSE(said.unsaid.temperature || said.unsaid.top_k);
  EXPECT_TRUE(said.unsaid.top_p);
}

}  // namespace
}  // namespace spillway::openai
