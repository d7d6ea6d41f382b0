// What answers say that they used, and whether they are what was asked for.
#include "backends/cloud/dialects/call_indexes.h"
#include "backends/cloud/dialects/dialect.h"
#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway::cloud {
namespace {

using Kind = Parsed::Kind;
using openai::parse_chunk;
using openai::parse_object;

TEST(CloudUsage, AUsageThatCountsNothingIsNone) {
  for (const char* usage :
       {"{}", R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})",
        R"({"prompt_tokens":-5,"completion_tokens":7})",
        R"({"prompt_tokens":5,"completion_tokens":-7})",
        R"({"prompt_tokens":null,"completion_tokens":null})", R"({"completion_tokens":7})"}) {
    const Parsed parsed = parse_chunk(R"({"choices":[],"usage":)" + std::string(usage) + "}");
    EXPECT_EQ(parsed.kind, Kind::pieces) << usage;
    EXPECT_FALSE(parsed.usage) << usage;
    EXPECT_EQ(parse_chunk(R"({"usage":)" + std::string(usage) + "}").kind, Kind::pieces) << usage;
    const std::string object = R"({"data":[1],"usage":)" + std::string(usage) + "}";
    EXPECT_FALSE(parse_object(object, 1).usage) << usage;
  }
}

struct Told {
  const char* usage;
  int prompt, cached, written, completion, reasoning;
};

TEST(CloudUsage, AChatsUsageIsReadUnderAnthropicsNames) {
  for (const Told& told : {
           Told{R"({"input_tokens":30,"output_tokens":7})", 30, 0, 0, 7, 0},
           Told{R"({"input_tokens":30,"output_tokens":7,"cache_read_input_tokens":900,)"
                R"("cache_creation_input_tokens":70})",
                1000, 900, 70, 7, 0},
           Told{R"({"input_tokens":30,"output_tokens":7,"cache_read_input_tokens":900,)"
                R"("cache_creation_input_tokens":70,"total_tokens":1007})",
                1000, 900, 70, 7, 0},
           Told{R"({"input_tokens":1000,"output_tokens":7,"cache_read_input_tokens":900,)"
                R"("total_tokens":1007})",
                1000, 900, 0, 7, 0},
           Told{R"({"input_tokens":1000,"input_tokens_details":{"cached_tokens":900},)"
                R"("output_tokens":7,"output_tokens_details":{"reasoning_tokens":5},)"
                R"("total_tokens":1007})",
                1000, 900, 0, 7, 5},
           Told{R"({"prompt_tokens":1000,"completion_tokens":7,"total_tokens":1007,)"
                R"("cache_read_input_tokens":900,"cache_creation_input_tokens":70,)"
                R"("input_tokens":30,"output_tokens":7})",
                1000, 900, 70, 7, 0},
           Told{R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,)"
                R"("input_tokens":30,"output_tokens":7})",
                30, 0, 0, 7, 0},
       }) {
    const Parsed parsed = parse_chunk(R"({"choices":[],"usage":)" + std::string(told.usage) + "}");
    ASSERT_TRUE(parsed.usage) << told.usage;
    EXPECT_EQ(parsed.usage->prompt_tokens, told.prompt) << told.usage;
    EXPECT_EQ(parsed.usage->cached_tokens, told.cached) << told.usage;
    EXPECT_EQ(parsed.usage->cache_written_tokens, told.written) << told.usage;
    EXPECT_EQ(parsed.usage->completion_tokens, told.completion) << told.usage;
    EXPECT_EQ(parsed.usage->reasoning_tokens, told.reasoning) << told.usage;
    EXPECT_FALSE(parsed.usage->contradictory) << told.usage;
  }
}

constexpr const char* kUsed = R"("usage":{"prompt_tokens":9,"completion_tokens":200})";

TEST(CloudUsage, WhatAnAnswerOfNoUseBillsIsToldToo) {
  for (const char* choices :
       {R"([])", R"([{"message":{"content":"a"},"finish_reason":null}])",
        R"([{"message":{"content":[{"type":"hologram"}]},"finish_reason":"stop"}])",
        R"([{"message":{"content":"a"},"finish_reason":"error"}])"}) {
    const Parsed parsed =
        openai::parse_answer(R"({"choices":)" + std::string(choices) + "," + kUsed + "}");
    EXPECT_NE(parsed.kind, Kind::pieces) << choices;
    ASSERT_TRUE(parsed.usage) << choices;
    EXPECT_EQ(parsed.usage->completion_tokens, 200) << choices;
  }
  const std::string failed = R"({"error":{"message":"m"},)" + std::string(kUsed) + "}";
  EXPECT_EQ(openai::parse_answer(failed).complaint.message, "m");
  EXPECT_TRUE(openai::parse_answer(failed).usage);
  EXPECT_TRUE(parse_object(failed, 0).usage);
  const auto reader = dialect_named("anthropic")->reader(ChatRequest{});
  const Parsed message = reader->answer(
      R"({"type":"message","content":[],"stop_reason":"x","usage":{"input_tokens":4}})");
  EXPECT_EQ(message.kind, Kind::complaint);
  ASSERT_TRUE(message.usage);
  EXPECT_EQ(message.usage->prompt_tokens, 4);
}

TEST(CloudUsage, EachGoOfAnthropicsAnswerIsBilled) {
  const auto reader = dialect_named("anthropic")->reader(ChatRequest{});
  const Parsed message = reader->answer(
      R"({"type":"message","content":[{"type":"compaction","content":"a"},{"type":"text","text":"b"}],)"
      R"("stop_reason":"end_turn","usage":{"input_tokens":224,"output_tokens":22,"iterations":[)"
      R"({"type":"compaction","input_tokens":83555,"output_tokens":154,"cache_read_input_tokens":9},)"
      R"({"type":"message","input_tokens":224,"output_tokens":22}]}})");
  ASSERT_TRUE(message.usage);
  EXPECT_EQ(message.usage->prompt_tokens, 83555 + 224 + 9);
  EXPECT_EQ(message.usage->cached_tokens, 9);
  EXPECT_EQ(message.usage->completion_tokens, 176);
}

TEST(CloudUsage, ASearchThatFailedIsNotBilled) {
  const auto reader = dialect_named("anthropic")->reader(ChatRequest{});
  int searches = 0;
  for (const char* block :
       {R"({"type":"server_tool_use","name":"web_search"})",
        R"({"type":"web_search_tool_result","content":[]})",
        R"({"type":"server_tool_use","name":"web_search"})",
        R"({"type":"web_search_tool_result","content":{"type":"web_search_tool_result_error"}})"}) {
    const std::string event = R"({"type":"content_block_start","index":0,"content_block":)";
    for (const Delta& delta : reader->event("", event + block + "}").deltas)
      searches += delta.searches;
  }
  EXPECT_EQ(searches, 1);
}

TEST(CloudUsage, ASumAloneCountsOnlyWhereNothingIsWritten) {
  const std::string sum = R"("usage":{"total_tokens":11}})";
  EXPECT_FALSE(parse_chunk(R"({"choices":[],)" + sum).usage);
  EXPECT_FALSE(openai::parse_answer(
                   R"({"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],)" + sum)
                   .usage);
  EXPECT_EQ(parse_object(R"({"data":[],)" + sum, 0).usage->prompt_tokens, 11);
}

TEST(CloudUsage, CohereCountsBesideItsRanking) {
  const Parsed ranked = parse_object(
      R"({"results":[],"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":33}}})",
      0);
  ASSERT_TRUE(ranked.usage);
  EXPECT_EQ(ranked.usage->prompt_tokens, 33);
  EXPECT_EQ(
      parse_object(R"({"usage":{"prompt_tokens":2},"meta":{"tokens":{"input_tokens":33}}})", 0)
          .usage->prompt_tokens,
      2);
}

// As a reader of a whole stream tells them: whether each usage is at the batch rate.
std::vector<bool> rates_of(const std::vector<std::string>& tiers) {
  const auto reader = dialect_named("openai")->reader(ChatRequest{});
  std::vector<bool> rates;
  for (const std::string& tier : tiers) {
    const bool counts = tier.ends_with('#');
    const std::string named = tier.substr(0, tier.find('#'));
    const Parsed parsed = reader->event(
        "", R"({"choices":[{"delta":{"content":"a"}}])" +
                (named.empty() ? "" : R"(,"service_tier":)" + named) +
                (counts ? R"(,"usage":{"prompt_tokens":3,"completion_tokens":1}})" : "}"));
    EXPECT_EQ(parsed.usage.has_value(), counts);
    if (parsed.usage) rates.push_back(parsed.usage->at_batch_rate);
  }
  return rates;
}

TEST(CloudUsage, TheTierIsRememberedUntilAnotherIsNamed) {
  using Rates = std::vector<bool>;
  EXPECT_EQ(rates_of({R"("flex")", "#"}), Rates{true});
  EXPECT_EQ(rates_of({R"("flex")", "", "null#"}), Rates{true});
  EXPECT_EQ(rates_of({R"("flex"#)", R"("default"#)", "#"}), (Rates{true, false, false}));
  EXPECT_EQ(rates_of({R"("auto")", R"("flex"#)"}), Rates{true});
  EXPECT_EQ(rates_of({"#"}), Rates{false});
}

std::string choice_of(int index) {
  return R"({"index":)" + std::to_string(index) +
         R"(,"message":{"content":"a"},"delta":{"content":"a"},"finish_reason":"stop"})";
}

TEST(CloudUsage, FewerChoicesThanAskedForAreAmiss) {
  const std::string usage = R"("usage":{"prompt_tokens":3,"completion_tokens":2})";
  const std::string two =
      R"({"choices":[)" + choice_of(0) + "," + choice_of(1) + "]," + usage + "}";
  for (const int wanted : {1, 2, 3}) {
    ChatRequest request;
    request.choices = wanted;
    const Parsed whole = dialect_named("openai")->reader(request)->answer(two);
    EXPECT_EQ(whole.complaint.answered, wanted == 3);
    EXPECT_EQ(whole.kind, wanted == 3 ? Kind::complaint : Kind::pieces);
    ASSERT_TRUE(whole.usage) << "it is billed";
    const auto reader = dialect_named("openai")->reader(request);
    EXPECT_EQ(reader->event("", two).kind, Kind::pieces);
    EXPECT_EQ(reader->event("", "[DONE]").kind, wanted == 3 ? Kind::complaint : Kind::done);
  }
  const Parsed embeddings = parse_object(R"({"data":[1],"usage":{"total_tokens":3}})", 2);
  EXPECT_TRUE(embeddings.complaint.answered);
  EXPECT_TRUE(embeddings.deltas.empty());
  ASSERT_TRUE(embeddings.usage);
  EXPECT_EQ(embeddings.usage->prompt_tokens, 3);
}

Parsed message(const std::string& usage) {
  return dialect_named("anthropic")
      ->reader(ChatRequest{})
      ->answer(
          R"({"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn")" +
          usage + "}");
}

TEST(CloudUsage, AMessageThatCountsNoPromptHasNone) {
  for (const char* usage : {"", R"(,"usage":null)", R"(,"usage":{})",
                            R"(,"usage":{"input_tokens":0,"output_tokens":0})",
                            R"(,"usage":{"input_tokens":-1,"output_tokens":5})",
                            R"(,"usage":{"input_tokens":4,"output_tokens":-5})"}) {
    const Parsed parsed = message(usage);
    EXPECT_EQ(parsed.kind, Kind::pieces) << usage;
    EXPECT_FALSE(parsed.usage) << usage;
  }
  const Parsed cached = message(R"(,"usage":{"input_tokens":0,"cache_read_input_tokens":9,)"
                                R"("output_tokens":1})");
  ASSERT_TRUE(cached.usage);
  EXPECT_EQ(cached.usage->prompt_tokens, 9);
}

TEST(CloudUsage, AStreamedMessageThatCountsNoPromptHasNone) {
  const auto reader = dialect_named("anthropic")->reader(ChatRequest{});
  EXPECT_FALSE(reader->event("", R"({"type":"message_start","message":{"usage":null}})").usage);
  const std::string end = R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":)";
  EXPECT_FALSE(reader->event("", end + R"({"output_tokens":5}})").usage);
  const Parsed counted = reader->event("", end + R"({"input_tokens":4,"output_tokens":5}})");
  ASSERT_TRUE(counted.usage);
  EXPECT_EQ(counted.usage->completion_tokens, 5);
}

TEST(CloudUsage, AMessageThoughtNoMoreThanItWrote) {
  const auto thought = [](const std::string& tokens) {
    return *message(R"(,"usage":{"input_tokens":4,"output_tokens":5,"output_tokens_details":)"
                    R"({"thinking_tokens":)" +
                    tokens + "}}")
                .usage;
  };
  EXPECT_FALSE(thought("5").contradictory);
  EXPECT_TRUE(thought("6").contradictory);
  EXPECT_EQ(thought("6").completion_tokens, 6);
}

TEST(CloudUsage, ACreditIsToldAsReadAndNoMoreAsWritten) {
  const auto reader = dialect_named("anthropic")->reader(ChatRequest{});
  reader->event("", R"({"type":"message_start","message":{"usage":{"input_tokens":100,)"
                    R"("cache_creation_input_tokens":3000,"cache_creation":)"
                    R"({"ephemeral_1h_input_tokens":2000}}}})");
  const Usage usage =
      *reader
           ->event("", R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":)"
                       R"({"input_tokens":100,"cache_creation_input_tokens":500,)"
                       R"("cache_read_input_tokens":2500,"output_tokens":9}})")
           .usage;
  EXPECT_EQ(usage.prompt_tokens, 3100);
  EXPECT_EQ(usage.cached_tokens, 2500);
  EXPECT_EQ(usage.cache_written_tokens, 500);
  EXPECT_EQ(usage.cache_written_1h_tokens, 500) << "of those that it had told for an hour";
}

// The indexes of the calls in `streams`' pieces, one list a piece.
std::vector<std::string> indexes_of(const std::vector<std::string>& pieces) {
  CallIndexes calls;
  std::vector<std::string> indexes;
  for (const std::string& piece : pieces) {
    const std::string extra = calls.put_right(R"({"tool_calls":[)" + piece + "]}");
    ElementReader reader(member_of(extra, "tool_calls"));
    std::string all;
    while (const auto one = reader.next()) all += member_of(*one, "index");
    indexes.push_back(all);
  }
  return indexes;
}

TEST(CallIndexes, EachCallHasItsOwn) {
  using Indexes = std::vector<std::string>;
  const std::string f = R"("function":{"name":"f","arguments":"{}"}})";
  const std::string more = R"("function":{"arguments":"1"}})";
  EXPECT_EQ(indexes_of({R"({"index":0,"id":"a",)" + f, R"({"index":1,"id":"b",)" + f,
                        R"({"index":0,)" + more}),
            (Indexes{"0", "1", "0"}));
  EXPECT_EQ(indexes_of({R"({"id":"a",)" + f, R"({"id":"b",)" + f, "{" + more}),
            (Indexes{"0", "1", "1"}));
  EXPECT_EQ(indexes_of({R"({"id":"a",)" + f + R"(,{"id":"b",)" + f}), Indexes{"01"});
  EXPECT_EQ(indexes_of({R"({"index":0,"id":"a",)" + f, R"({"index":0,"id":"b",)" + f,
                        R"({"index":0,)" + more}),
            (Indexes{"0", "1", "1"}));
  EXPECT_EQ(indexes_of({R"({"index":0,"id":"a",)" + f, R"({"index":0,"id":"x",)" + more}),
            (Indexes{"0", "0"}))
      << "a new id for each piece, but one name";
  EXPECT_EQ(indexes_of({"{" + f, "{" + f}), (Indexes{"0", "1"})) << "whole, and without ids";
  EXPECT_EQ(indexes_of({R"({"index":0,"id":"",)" + f, R"({"index":0,"id":"",)" + f}),
            (Indexes{"0", "1"}));
  EXPECT_EQ(indexes_of({R"({"index":0,"id":"a",)" + f, R"({"index":0,"id":"a",)" + f}),
            (Indexes{"0", "0"}))
      << "a name in each piece";
  CallIndexes calls;
  const std::string right = R"({ "tool_calls" : [ {"index":0, "id":"a"} ], "x":1})";
  EXPECT_EQ(calls.put_right(right), right);
  EXPECT_EQ(calls.put_right(R"({"x":1,"tool_calls":[{"id":"b","function":{"name":"g"}}]})"),
            R"({"x":1,"tool_calls":[{"index":1,"id":"b","function":{"name":"g"}}]})");
}

TEST(CloudUsage, WhatIsPutIntoACacheIsPartOfThePrompt) {
  const auto written = [](const std::string& details) {
    return parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":3,)"
                       R"("prompt_tokens_details":{)" +
                       details + "}}}");
  };
  const Parsed parsed = written(R"("cached_tokens":100,"cache_write_tokens":700)");
  EXPECT_EQ(parsed.usage->cache_written_tokens, 700);
  EXPECT_EQ(parsed.beside, nullptr) << "it is told on from the count";
  EXPECT_EQ(written(R"("cached_tokens":100,"cache_write_tokens":999)").usage->cache_written_tokens,
            900)
      << "more than there is";
  for (const std::string name : {"cache_creation_input_tokens", "cache_creation_tokens"}) {
    const Parsed renamed = written('"' + name + "\":700");
    EXPECT_EQ(renamed.usage->cache_written_tokens, 700) << name;
    EXPECT_EQ(renamed.beside->prompt_details, '"' + name + "\":700") << "whoever reads that";
  }
  EXPECT_EQ(written(R"("cache_write_tokens":0)").beside->prompt_details,
            R"("cache_write_tokens":0)");
}

TEST(CloudUsage, APartThatIsMoreThanItsWholeIsNoCertainCount) {
  const auto counted = [](const std::string& beside) {
    return *parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":8,)" +
                        beside + "}}")
                .usage;
  };
  const auto reasoning = [&](int tokens, const std::string& more = "") {
    return counted(R"("completion_tokens_details":{"reasoning_tokens":)" + std::to_string(tokens) +
                   "}" + more);
  };
  EXPECT_FALSE(reasoning(8).contradictory);
  EXPECT_TRUE(reasoning(9).contradictory);
  EXPECT_EQ(reasoning(9).completion_tokens, 9) << "it has written that at least";
  const Usage beside = reasoning(20, R"(,"total_tokens":38)");
  EXPECT_FALSE(beside.contradictory) << "counted beside the answer, as the sum says";
  EXPECT_EQ(beside.completion_tokens, 28);
  for (const std::string name : {"cached_tokens", "cache_write_tokens", "audio_tokens"}) {
    const std::string details = R"("prompt_tokens_details":{")" + name + "\":";
    EXPECT_FALSE(counted(details + "10}").contradictory) << name;
    EXPECT_TRUE(counted(details + "11}").contradictory) << name;
  }
  EXPECT_TRUE(counted(R"("completion_tokens_details":{"audio_tokens":9})").contradictory);
}

TEST(CloudUsage, ACacheMayBeCountedBesideThePrompt) {
  const auto counted = [](const std::string& counts) {
    return *parse_chunk(R"({"choices":[],"usage":{"completion_tokens":5,)" + counts + "}}").usage;
  };
  const std::string read = R"("prompt_tokens_details":{"cached_tokens":50})";
  const Usage beside = counted(R"("prompt_tokens":10,"total_tokens":65,)" + read);
  EXPECT_EQ(beside.prompt_tokens, 60);
  EXPECT_EQ(beside.cached_tokens, 50);
  EXPECT_EQ(beside.completion_tokens, 5) << "nothing was thought";
  EXPECT_FALSE(beside.contradictory);
  const Usage all_of_it = counted(R"("prompt_tokens":0,"total_tokens":55,)" + read);
  EXPECT_EQ(all_of_it.prompt_tokens, 50);
  const Usage written = counted(
      R"("prompt_tokens":10,"total_tokens":65,"prompt_tokens_details":{"cache_write_tokens":50})");
  EXPECT_EQ(written.prompt_tokens, 60);
  EXPECT_EQ(written.cache_written_tokens, 50);
  const Usage doubtful = counted(R"("prompt_tokens":100,"total_tokens":155,)" + read);
  EXPECT_EQ(doubtful.prompt_tokens, 150);
  EXPECT_TRUE(doubtful.contradictory) << "they might be thoughts";
  EXPECT_EQ(counted(R"("prompt_tokens":100,"total_tokens":105,)" + read).prompt_tokens, 100);
}

TEST(CloudUsage, SearchesAreToldUnderSeveralNames) {
  const auto searches = [](const std::string& said) {
    return parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,)" + said +
                       "}}")
        .usage->searches;
  };
  EXPECT_EQ(searches(R"("num_search_queries":2)"), 2);
  EXPECT_EQ(searches(R"("num_sources_used":3)"), 3);
  EXPECT_EQ(searches(R"("plugins":{"search":{"count":4,"strategy":"agent"}})"), 4);
  EXPECT_EQ(searches(R"("plugins":{})"), 0);
  EXPECT_EQ(searches(R"("server_tool_use":{"web_search_requests":5})"), 5);
}

TEST(CloudUsage, ARankingIsBilledByUnits) {
  const auto ranked = [](const std::string& beside) {
    return parse_object(R"({"results":[],)" + beside + "}", 0).usage;
  };
  const auto units = ranked(R"("meta":{"billed_units":{"search_units":21}})");
  ASSERT_TRUE(units);
  EXPECT_EQ(units->searches, 21);
  EXPECT_EQ(units->prompt_tokens, 0);
  const auto both =
      ranked(R"("meta":{"tokens":{"input_tokens":50},"billed_units":{"search_units":2.0}})");
  EXPECT_EQ(both->searches, 2);
  EXPECT_EQ(both->prompt_tokens, 50);
  const auto beside_usage =
      ranked(R"("meta":{"billed_units":{"search_units":3}},"usage":{"total_tokens":8})");
  EXPECT_EQ(beside_usage->searches, 3);
  EXPECT_EQ(beside_usage->prompt_tokens, 8);
  EXPECT_FALSE(ranked(R"("meta":{"billed_units":{"search_units":-4}})"));
  EXPECT_FALSE(ranked(R"("meta":{})"));
}

TEST(CloudUsage, WhatAnAnswerIsSaidToCost) {
  const auto charged = [](const std::string& cost, const std::string& name = "cost") {
    return parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,")" +
                       name + "\":" + cost + "}}")
        .usage->charged_nano_usd;
  };
  const std::string own_key = R"(,"is_byok":true,"cost_details":{"upstream_inference_cost":)";
  EXPECT_EQ(charged("0" + own_key + "0.0024}"), 2'400'000);
  EXPECT_EQ(charged("0.00012" + own_key + "0.0024}"), 2'520'000) << "with a fee";
  EXPECT_EQ(charged("0" + own_key + "null}"), -1) << "the provider's bill is not told";
  EXPECT_EQ(charged(R"(0.5,"is_byok":false,"cost_details":{"upstream_inference_cost":0.1})"),
            500'000'000);
  EXPECT_EQ(charged("37756000", "cost_in_usd_ticks"), 3'775'600) << "0.0038 dollars";
  EXPECT_EQ(charged("0.00014"), 140'000);
  EXPECT_EQ(charged("1.5e-3"), 1'500'000);
  EXPECT_EQ(charged("0"), 0);
  EXPECT_EQ(charged(R"({"input_tokens_cost":0.1,"total_cost":0.6})"), 600'000'000);
  for (const char* none : {"null", "1e99", "\"0.5\"", "{}", "[]", "true"})
    EXPECT_EQ(charged(none), -1) << none;
}

TEST(CloudUsage, WhatNoAnswerCostsIsNoExactCost) {
  const auto told = [](const std::string& cost) {
    return parse_chunk(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"cost":)" +
                       cost + "}}")
        .usage;
  };
  for (const char* absurd : {"9e9", "1e99", "1e999", R"({"total_cost":9e9})"}) {
    EXPECT_EQ(told(absurd)->charged_nano_usd, -1) << absurd;
    EXPECT_TRUE(told(absurd)->contradictory) << absurd;
  }
  for (const char* fine : {"1e6", "0.5", "null", "\"0.5\""})
    EXPECT_FALSE(told(fine)->contradictory) << fine;
}

}  // namespace
}  // namespace spillway::cloud
