#include "backends/cloud/dialects/dialect.h"
#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace spillway::cloud::openai {
namespace {

using Kind = Parsed::Kind;

const Ways& ways_of(std::string_view name) {
  for (const Ways& ways : all_ways()) {
    if (ways.name == name) return ways;
  }
  ADD_FAILURE() << name;
  return all_ways().front();
}

std::string body_of(const std::string& client_body, bool stream = false,
                    std::string_view ways = "openai", const Manner& manner = {}) {
  ChatRequest request;
  request.body = client_body;
  request.stream = stream;
  const auto body = request_body(request, "up/stream", ways_of(ways), manner);
  return body ? *body : std::string(name_of(body.error().code));
}

TEST(OpenAiRequest, ForwardsValuesByteForByte) {
  EXPECT_EQ(
      body_of(
          R"( { "seed" : 18446744073709551615 , "messages":[ {"role":"user","content":"a\"}]\u00e9"}], "stop":["\\"],"temperature":1e-1 } )"),
      R"({"model":"up/stream","seed":18446744073709551615,"messages":[ {"role":"user","content":"a\"}]\u00e9"}],"stop":["\\"],"temperature":1e-1})");
}

TEST(OpenAiRequest, ReplacesModelAndStreamAndAsksForUsage) {
  const std::string client =
      R"({"model":"auto","stream":false,"stream_options":{"include_usage":false},"messages":[]})";
  EXPECT_EQ(body_of(client), R"({"model":"up/stream","messages":[]})");
  EXPECT_EQ(body_of(client, true),
            R"({"model":"up/stream","stream":true,"stream_options":{"include_usage":true},)"
            R"("messages":[]})");
}

TEST(OpenAiRequest, DropsWhatTheProviderDoesNotTake) {
  EXPECT_EQ(body_of(R"({"top_k":5,"min_p":0.1,"ignore_eos":true,"service_tier":"priority",)"
                    R"("x_spillway":{"a":[1]},"user":null,"messages":[],"thinking":{"type":"x"}})"),
            R"({"model":"up/stream","messages":[],"thinking":{"type":"x"}})");
}

TEST(OpenAiRequest, ForwardsWhatTheOperatorOrTheDialectNames) {
  const std::string client = R"({"top_k":5,"guided_json":{"a":1},"x":[1],"messages":[]})";
  const std::vector<std::pair<Manner, std::string>> cases = {
      {{}, R"({"model":"up/stream","messages":[]})"},
      {{.forward_fields = {"x"}}, R"({"model":"up/stream","x":[1],"messages":[]})"},
      {{.forward_fields = {"*"}},
       R"({"model":"up/stream","top_k":5,"guided_json":{"a":1},"x":[1],"messages":[]})"}};
  for (const auto& [manner, body] : cases)
    EXPECT_EQ(body_of(client, false, "openai", manner), body);
  EXPECT_EQ(body_of(client, false, "vllm"),
            R"({"model":"up/stream","top_k":5,"guided_json":{"a":1},"messages":[]})");
  // Never what would change who pays, or what was not asked for.
  EXPECT_EQ(body_of(R"({"service_tier":"priority","model":"x"})", false, "openai",
                    {.forward_fields = {"*"}}),
            R"({"model":"up/stream"})");
}

TEST(OpenAiRequest, NamesTheLimitAsTheDialectDoes) {
  ChatRequest request;
  request.body = R"({"max_tokens":3,"max_completion_tokens":7,"store":true,"messages":[]})";
  request.sampling.tokens_max = 7;
  EXPECT_EQ(*request_body(request, "m", ways_of("deepseek"), {}),
            R"({"model":"m","messages":[],"max_tokens":7})");
  EXPECT_EQ(*request_body(request, "m", ways_of("openai"), {}),
            R"({"model":"m","max_tokens":3,"max_completion_tokens":7,"store":true,"messages":[]})");
}

std::string limited(const ChatRequest& request, std::string_view ways, std::string base_url) {
  return *request_body(request, "m", ways_of(ways), {.base_url = std::move(base_url)});
}

TEST(OpenAiRequest, ALimitOfOursHasTheNameThatReasoningModelsTake) {
  ChatRequest request;
  request.body = R"({"max_tokens":null,"messages":[]})";
  request.sampling.tokens_max = 7;
  request.cut_short = true;
  const std::string newer = R"({"model":"m","messages":[],"max_completion_tokens":7})";
  const std::string older = R"({"model":"m","messages":[],"max_tokens":7})";
  EXPECT_EQ(limited(request, "azure", "https://x.openai.azure.com"), newer);
  EXPECT_EQ(limited(request, "openai", "https://api.openai.com/v1"), newer);
  EXPECT_EQ(limited(request, "openai", "https://eu.api.openai.com:443"), newer);
  EXPECT_EQ(limited(request, "openai", "https://notapi.openai.com/v1"), older);
  EXPECT_EQ(limited(request, "openai", "http://gate/api.openai.com"), older);
  EXPECT_EQ(limited(request, "vllm", "https://api.openai.com/v1"), older);
  request.body = R"({"max_tokens":9,"messages":[]})";
  EXPECT_EQ(limited(request, "azure", ""), R"({"model":"m","max_tokens":7,"messages":[]})");
  request.body = R"({"prompt":"a"})";
  request.endpoint = Endpoint::completions;
  EXPECT_EQ(limited(request, "azure", ""), R"({"model":"m","prompt":"a","max_tokens":7})");
}

TEST(OpenAiRequest, ALowerLimitLowersTheLeastToo) {
  ChatRequest request;
  request.body = R"({"min_tokens":9,"max_tokens":12,"messages":[]})";
  request.sampling.tokens_max = request.sampling.tokens_min = 7;
  const std::string untouched = R"({"model":"m","min_tokens":9,"max_tokens":12,"messages":[]})";
  EXPECT_EQ(limited(request, "vllm", ""), untouched);
  request.cut_short = true;
  EXPECT_EQ(limited(request, "vllm", ""),
            R"({"model":"m","min_tokens":7,"max_tokens":7,"messages":[]})");
}

TEST(OpenAiRequest, AConversationIsToldInTheProvidersWords) {
  ChatRequest request;
  request.body =
      R"({"messages":[{"role": "developer","content":"d"},{"role":"user","content":"\"developer\""},)"
      R"({"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[]}],"seed":7})";
  const auto told = [&](const char* dialect, Manner manner = {}) {
    return *request_body(request, "m", ways_of(dialect), manner);
  };
  const auto has = [](const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
  };
  EXPECT_TRUE(has(told("openai"), R"({"role": "developer","content":"d"})"));
  EXPECT_TRUE(has(told("openai"), R"("reasoning_content":"r")")) << "its client said so";
  for (const char* dialect : {"deepseek", "mistral", "ollama"})
    EXPECT_TRUE(
        has(told(dialect),
            R"([{"role":"system","content":"d"},{"role":"user","content":"\"developer\""})"))
        << dialect;
  EXPECT_TRUE(has(told("mistral"), R"("random_seed":7)"));
  request.stream = true;
  EXPECT_FALSE(has(told("mistral"), "stream_options"));
  EXPECT_TRUE(has(told("deepseek"), "stream_options"));
  request.original = Original{"responses", "", ""};
  Manner groq;
  groq.base_url = "https://api.groq.com/openai/v1";
  EXPECT_TRUE(has(told("openai", groq), R"({"role":"assistant","content":null,"tool_calls":[]})"));
  EXPECT_FALSE(has(told("azure"), "reasoning_content"));
  for (const char* dialect : {"openai", "deepseek", "vllm", "sglang"})
    EXPECT_TRUE(has(told(dialect), R"("reasoning_content":"r")")) << dialect;
  Manner wanted;
  wanted.forward_fields = {"reasoning_content"};
  EXPECT_TRUE(has(told("azure", wanted), R"("reasoning_content":"r")"));
}

TEST(OpenAiRequest, TheCheaperTierIsAskedForInChatsAlone) {
  ChatRequest request;
  request.body = "{}";
  request.at_batch_rate = true;
  EXPECT_EQ(limited(request, "openai", ""), R"({"model":"m","service_tier":"flex"})");
  for (const Endpoint endpoint :
       {Endpoint::completions, Endpoint::embeddings, Endpoint::moderations, Endpoint::rerank}) {
    request.endpoint = endpoint;
    EXPECT_EQ(limited(request, "openai", ""), R"({"model":"m"})") << name_of(endpoint);
  }
}

TEST(OpenAiRequest, OtherEndpointsGetWhatIsTheirs) {
  ChatRequest request;
  request.body = R"({"model":"e","input":["a"],"encoding_format":"base64","truncate":"END"})";
  request.endpoint = Endpoint::embeddings;
  EXPECT_EQ(*request_body(request, "m", ways_of("openai"), {}),
            R"({"model":"m","input":["a"],"encoding_format":"base64","truncate":"END"})");
  request.body = R"({"prompt":[1,2],"suffix":"x","echo":true,"best_of":2,"input":1})";
  request.endpoint = Endpoint::completions;
  EXPECT_EQ(*request_body(request, "m", ways_of("openai"), {}),
            R"({"model":"m","prompt":[1,2],"suffix":"x","best_of":2})");
  request.needs = Need::echo;
  EXPECT_EQ(*request_body(request, "m", ways_of("openai"), {}),
            R"({"model":"m","prompt":[1,2],"suffix":"x","echo":true,"best_of":2})");
}

TEST(OpenAiUrls, AreWhereTheServiceHasThem) {
  ChatRequest chat, completion, embedding, begun;
  completion.endpoint = Endpoint::completions;
  embedding.endpoint = Endpoint::embeddings;
  begun.begun = "a";
  const Manner plain{.base_url = "https://a/v1/"}, azure{"https://b", "2024-10-21"},
      deepseek{"https://c/v1"};
  EXPECT_EQ(dialect_named("openai")->url(chat, "m", plain), "https://a/v1/chat/completions");
  EXPECT_EQ(dialect_named("openai")->url(embedding, "m", plain), "https://a/v1/embeddings");
  EXPECT_EQ(dialect_named("azure")->url(completion, "dep", azure),
            "https://b/openai/deployments/dep/completions?api-version=2024-10-21");
  EXPECT_EQ(dialect_named("azure")->headers("k"), std::vector<std::string>{"api-key: k"});
  EXPECT_EQ(dialect_named("deepseek")->url(chat, "m", deepseek), "https://c/v1/chat/completions");
  EXPECT_EQ(dialect_named("deepseek")->url(completion, "m", deepseek),
            "https://c/beta/completions");
  EXPECT_EQ(dialect_named("deepseek")->url(begun, "m", {"https://c/beta"}),
            "https://c/beta/chat/completions");
}

TEST(OpenAiAnswer, CompletionsObjectsAndLogprobs) {
  const Parsed chunk = parse_chunk(
      R"({"choices":[{"index":1,"text":"a","logprobs":{"tokens":["a"]},"finish_reason":null}]})");
  ASSERT_EQ(chunk.deltas.size(), 1u);
  EXPECT_EQ(chunk.deltas[0].text, "a");
  EXPECT_EQ(chunk.deltas[0].choice, 1);
  EXPECT_EQ(chunk.deltas[0].logprobs, R"({"tokens":["a"]})");
  const std::string body = R"({"data":[],"usage":{"total_tokens":9}})";
  const Parsed object = parse_object(body, 0);
  ASSERT_EQ(object.deltas.size(), 1u);
  EXPECT_EQ(object.deltas[0].object, body);
  EXPECT_EQ(object.usage->prompt_tokens, 9);
  EXPECT_EQ(parse_object(R"({"error":{"message":"m"}})", 0).kind, Kind::complaint);
  EXPECT_EQ(parse_object("<html>", 0).kind, Kind::garbage);
  EXPECT_EQ(parse_complaint(R"([{"error":{"code":400,"message":"m"}}])")->message, "m");
}

// Otherwise a request could say one thing to the checks here and another to the provider.
TEST(OpenAiRequest, KeysMeanWhatJsonMeans) {
  EXPECT_EQ(body_of(R"({"n":1,"n":2,"\u006dodel":"x","\u006e":3})"),
            R"({"model":"up/stream","n":3})");
  EXPECT_EQ(body_of(R"({"seed":1,"seed":null})"), R"({"model":"up/stream"})");
}

TEST(OpenAiRequest, RefusesWhatIsNoObject) {
  for (const char* body : {"", "[]", "null", "{", R"({"n":1)", R"({"n":1}x)", R"({"n"})",
                           R"({"n":})", R"({"n":"a)", R"({n:1})", R"({"n":[1})"}) {
    EXPECT_EQ(body_of(body), "invalid_request") << body;
  }
}

TEST(OpenAiRequest, AsksToGoOnWithABegunAnswer) {
  ChatRequest request;
  request.body = R"({"max_tokens":12,"messages":[{"role":"user","content":"]"} ],"n":1})";
  request.begun = "He said \"no\n";
  request.sampling.tokens_max = 9;
  EXPECT_EQ(*request_body(request, "m", ways_of("openai"), {.continues = "prefix"}),
            R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"]"} ,)"
            R"({"role":"assistant","content":"He said \"no\n","prefix":true}],"n":1})");
  EXPECT_EQ(*request_body(request, "m", ways_of("openai"), {.continues = "continue_final_message"}),
            R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"]"} ,)"
            R"({"role":"assistant","content":"He said \"no\n"}],"n":1,)"
            R"("continue_final_message":true,"add_generation_prompt":false})");
}

TEST(OpenAiRequest, QuotesTheModel) {
  ChatRequest request;
  request.body = "{}";
  EXPECT_EQ(*request_body(request, "a\"b\\", ways_of("openai"), {}), R"({"model":"a\"b\\"})");
}

TEST(MemberReader, SkipsNestedValuesWhole) {
  MemberReader reader(R"({"a\"":{"b":["}",{"c":"\\"}]},"d":[[1],[2]],"e":-1.5e3})");
  const auto first = reader.next();
  EXPECT_EQ(first->key, R"(a\")");
  EXPECT_EQ(first->value, R"({"b":["}",{"c":"\\"}]})");
  EXPECT_EQ(reader.next()->value, "[[1],[2]]");
  EXPECT_EQ(reader.next()->value, "-1.5e3");
  EXPECT_FALSE(reader.complete());
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.complete());
}

Parsed chunk(const std::string& choice) { return parse_chunk(R"({"choices":[)" + choice + "]}"); }

Delta delta_of(const std::string& choice) {
  const Parsed parsed = chunk(choice);
  EXPECT_EQ(parsed.kind, Kind::pieces) << choice;
  EXPECT_EQ(parsed.deltas.size(), 1u) << choice;
  return parsed.deltas.empty() ? Delta{} : parsed.deltas.front();
}

TEST(OpenAiChunk, ReadsTextReasoningAndChoice) {
  const Delta delta = delta_of(R"({"index":2,"delta":{"content":"né","reasoning_content":"hm"}})");
  EXPECT_EQ(delta.choice, 2);
  EXPECT_EQ(delta.text, "né");
  EXPECT_EQ(delta.reasoning, "hm");
  EXPECT_EQ(delta.extra, "");
  EXPECT_FALSE(delta.finish);
  EXPECT_EQ(delta_of(R"({"delta":{"reasoning":"other name"}})").reasoning, "other name");
}

TEST(OpenAiChunk, ContentMayBeInParts) {
  const Delta delta =
      delta_of(R"({"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},)"
               R"({"type":"text","text":"m"}],"closed":true},{"type":"text","text":"\u00e9"},)"
               R"({"type":"reference","reference_ids":[1]},{"type":"text","text":"b"}]}})");
  EXPECT_EQ(delta.reasoning, "hm");
  EXPECT_EQ(delta.text, "éb");
  EXPECT_EQ(delta_of(R"({"delta":{"content":[{"type":"thinking","thinking":"t"}]}})").reasoning,
            "t");
  for (const char* part : {R"({"type":"hologram"})", R"({"type":"text"})", "5",
                           R"({"type":"thinking","thinking":[{"type":"text"}]})"})
    EXPECT_EQ(chunk(R"({"delta":{"content":[)" + std::string(part) + "]}}").kind, Kind::garbage)
        << part;
}

TEST(OpenAiChunk, TheStopSequenceIsToldWhereItIsATextThatWasAskedFor) {
  ChatRequest request;
  request.sampling.stop = {"END", "7"};
  const auto stopped_by = [&](const std::string& member) {
    const auto reader = dialect_named("vllm")->reader(request);
    const Parsed parsed =
        reader->event("", R"({"choices":[{"delta":{},"finish_reason":"stop",)" + member + "}]}");
    EXPECT_EQ(parsed.deltas.at(0).beside->choice, member) << "visible as it was";
    const std::string whole =
        R"({"choices":[{"message":{"content":"a"},"finish_reason":"stop",)" + member + "}]}";
    EXPECT_EQ(reader->answer(whole).deltas.at(0).stopped_by, parsed.deltas.at(0).stopped_by);
    return parsed.deltas.at(0).stopped_by;
  };
  EXPECT_EQ(stopped_by(R"("stop_reason":"END")"), "END");
  EXPECT_EQ(stopped_by(R"("matched_stop":"END")"), "END");
  EXPECT_EQ(stopped_by(R"("stop_reason":7)"), "");
  EXPECT_EQ(stopped_by(R"("stop_reason":"eos")"), "");
}

TEST(OpenAiChunk, KeepsOtherMembersAsExtra) {
  const Delta delta = delta_of(
      R"({"index":0,"delta":{"role":"assistant","content":null,"refusal":null,"annotations":[],)"
      R"("tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}})");
  EXPECT_EQ(delta.extra, R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]})");
}

TEST(OpenAiChunk, KeysAndTextMayBeEscaped) {
  const Delta delta =
      delta_of(R"({"d\u0065lta":{"c\u006fntent":"\u00e9\ud83d\ude00\n","a\"b":{"c":"\ud800"}}})");
  EXPECT_EQ(delta.text, "é😀\n");
  EXPECT_EQ(delta.extra, R"({"a\"b":{"c":"\ud800"}})");
  EXPECT_EQ(chunk(R"({"delta":{"content":"\ud800"}})").kind, Kind::garbage);
}

TEST(OpenAiChunk, ChunksThatSayNothingGiveNoDelta) {
  for (const char* choice :
       {R"({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null})",
        R"({"index":0,"delta":{}})", R"({"index":0})"}) {
    const Parsed parsed = chunk(choice);
    EXPECT_EQ(parsed.kind, Kind::pieces) << choice;
    EXPECT_TRUE(parsed.deltas.empty()) << choice;
  }
}

TEST(OpenAiChunk, ReadsFinishReasons) {
  const auto finish = [](const std::string& reason) {
    return delta_of(R"({"delta":{},"finish_reason":")" + reason + "\"}").finish;
  };
  EXPECT_EQ(finish("stop"), FinishReason::stop);
  EXPECT_EQ(finish("length"), FinishReason::length);
  EXPECT_EQ(finish("tool_calls"), FinishReason::tool_calls);
  EXPECT_EQ(finish("function_call"), FinishReason::tool_calls);
  EXPECT_EQ(finish("content_filter"), FinishReason::content_filter);
  const Parsed broken = chunk(R"({"delta":{},"finish_reason":"insufficient_system_resource"})");
  EXPECT_EQ(broken.kind, Kind::complaint);
}

TEST(OpenAiChunk, KeepsWhatIsSaidBesideIt) {
  const Parsed parsed = parse_chunk(R"({"id":"x","system_fingerprint":"fp","c":[1,
2],"n":null,"choices":[{"delta":{"content":"a"},"finish_reason":"","stop_reason":7},
{"index":1,"delta":{"content":"b"},"f":{
}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"cost":0.5,
"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":2},
"completion_tokens_details":{"accepted_prediction_tokens":1}}})");
  ASSERT_EQ(parsed.deltas.size(), 2u);
  ASSERT_TRUE(parsed.deltas[0].beside && parsed.deltas[1].beside);
  EXPECT_EQ(parsed.deltas[0].beside->choice, R"("stop_reason":7)");
  EXPECT_EQ(parsed.deltas[0].beside->answer, "");
  EXPECT_FALSE(parsed.deltas[0].finish);
  const Beside& last = *parsed.deltas[1].beside;
  EXPECT_EQ(last.choice, R"("f":{ })") << "an event is one line";
  EXPECT_EQ(last.answer, R"("system_fingerprint":"fp","c":[1, 2])");
  EXPECT_EQ(last.usage, R"("cost":0.5)");
  EXPECT_EQ(last.prompt_details, R"("audio_tokens":2)");
  EXPECT_EQ(last.completion_details, R"("accepted_prediction_tokens":1)");
  EXPECT_FALSE(delta_of(R"({"delta":{"content":"a"}})").beside) << "nothing costs nothing";
}

TEST(OpenAiChunk, ReadsUsageOfOpenAiAndDeepSeek) {
  const Parsed openai =
      parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,)"
                  R"("prompt_tokens_details":{"cached_tokens":4},)"
                  R"("completion_tokens_details":{"reasoning_tokens":3}}})");
  ASSERT_TRUE(openai.usage);
  EXPECT_EQ(openai.usage->prompt_tokens, 9);
  EXPECT_EQ(openai.usage->completion_tokens, 7);
  EXPECT_EQ(openai.usage->cached_tokens, 4);
  EXPECT_EQ(openai.usage->reasoning_tokens, 3);
  const Parsed deepseek =
      parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,)"
                  R"("prompt_tokens_details":null,"prompt_cache_hit_tokens":6}})");
  EXPECT_EQ(deepseek.usage->cached_tokens, 6);
  const Parsed absurd =
      parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1e99}})");
  EXPECT_GT(absurd.usage->completion_tokens, 0);
}

TEST(OpenAiChunk, TellsEndAndComplaints) {
  EXPECT_EQ(parse_chunk("[DONE]").kind, Kind::done);
  const Parsed parsed = parse_chunk(R"({"error":{"message":"m","type":"t","code":429}})");
  EXPECT_EQ(parsed.kind, Kind::complaint);
  EXPECT_EQ(parsed.complaint.message, "m");
  EXPECT_EQ(parsed.complaint.type, "t");
  EXPECT_EQ(parsed.complaint.code, "429");
  EXPECT_EQ(parse_chunk(R"({"error":"text"})").complaint.message, "text");
}

TEST(OpenAiChunk, RefusesGarbage) {
  const std::string deep(100, '[');
  for (const std::string data :
       {"", "x", "[]", "{}", R"({"choices":[)", R"({"choices":{}})", R"({"choices":[1]})",
        R"({"choices":[{"delta":{"content":5}}]})", R"({"choices":[{"delta":[]}]})",
        R"({"choices":[{"index":128,"delta":{}}]})",
        "{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}"}) {
    EXPECT_EQ(parse_chunk(data).kind, Kind::garbage) << data;
  }
  const std::string nested =
      R"({"choices":[{"delta":{"x":)" + deep + std::string(100, ']') + "}}]}";
  EXPECT_EQ(parse_chunk(nested).kind, Kind::garbage);
}

TEST(OpenAiAnswer, ReadsEveryChoiceAndUsage) {
  const Parsed parsed = parse_answer(
      R"({"choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null},)"
      R"("finish_reason":"stop"},{"index":1,"message":{"content":null,"tool_calls":[{"id":"c"}]},)"
      R"("finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})");
  ASSERT_EQ(parsed.kind, Kind::pieces);
  ASSERT_EQ(parsed.deltas.size(), 2u);
  EXPECT_EQ(parsed.deltas[0].text, "a");
  EXPECT_EQ(parsed.deltas[0].extra, "");
  EXPECT_EQ(parsed.deltas[1].extra, R"({"tool_calls":[{"id":"c"}]})");
  EXPECT_EQ(parsed.deltas[1].finish, FinishReason::tool_calls);
  EXPECT_EQ(parsed.usage->completion_tokens, 2);
}

TEST(OpenAiAnswer, IsNotWholeWithoutFinishReasons) {
  for (const char* body :
       {R"({"choices":[]})", R"({"choices":[{"message":{"content":"a"},"finish_reason":null}]})",
        R"({"choices":[{"message":{"content":"a"}}]})", R"({"object":"list"})", "<html>",
        R"({"usage":{"prompt_tokens":1}})"}) {
    EXPECT_EQ(parse_answer(body).kind, Kind::garbage) << body;
  }
}

TEST(OpenAiComplaint, KnowsTheCommonShapes) {
  EXPECT_EQ(parse_complaint(R"({"error":{"message":"a"}})")->message, "a");
  EXPECT_EQ(parse_complaint(R"({"detail":"b"})")->message, "b");
  EXPECT_EQ(parse_complaint(R"({"object":"error","message":"c"})")->message, "c");
  EXPECT_FALSE(parse_complaint("<html>"));
  EXPECT_FALSE(parse_complaint("{}"));
}

}  // namespace
}  // namespace spillway::cloud::openai
