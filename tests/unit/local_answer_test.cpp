// What a local model's answers say: calls, thoughts and content, however their text was cut.
#include "backends/local/answer/answer_reader.h"

#include <gtest/gtest.h>

namespace spillway::local::answer {
namespace {

using Kind = Part::Kind;

// Neighbours of one kind are one: calls begin anew each.
void join(Parts& all, const Parts& more) {
  for (const Part& part : more) {
    EXPECT_FALSE(part.text.empty());
    if (!all.empty() && all.back().kind == part.kind && part.kind != Kind::call) {
      all.back().text += part.text;
    } else {
      all.push_back(part);
    }
  }
}

Parts read(const Expected& expected, const std::vector<std::string_view>& pieces) {
  AnswerReader reader(expected);
  Parts parts;
  for (const std::string_view piece : pieces) join(parts, reader.push(piece));
  join(parts, reader.finish());
  return parts;
}

std::string shown(const Parts& parts) {
  constexpr std::string_view kNames[] = {"say ", "think ", "call ", "with "};
  std::string all;
  for (const Part& part : parts) {
    if (!all.empty()) all += " | ";
    all += kNames[static_cast<std::size_t>(part.kind)];
    all += part.text;
  }
  return all;
}

// Whole, byte by byte, and cut in two and in three at every place.
std::string read_anyhow(const Expected& expected, std::string_view text) {
  const Parts whole = read(expected, {text});
  std::vector<std::string_view> bytes;
  for (std::size_t at = 0; at < text.size(); ++at) bytes.push_back(text.substr(at, 1));
  EXPECT_EQ(shown(read(expected, bytes)), shown(whole)) << text;
  for (std::size_t one = 0; one <= text.size(); ++one) {
    EXPECT_EQ(shown(read(expected, {text.substr(0, one), text.substr(one)})), shown(whole))
        << text << " cut at " << one;
    for (std::size_t two = one; two <= text.size(); two += 3) {
      const auto parts =
          read(expected, {text.substr(0, one), text.substr(one, two - one), text.substr(two)});
      EXPECT_EQ(shown(parts), shown(whole)) << text << " cut at " << one << " and " << two;
    }
  }
  return shown(whole);
}

std::string calls_in(std::string_view family, std::string_view text) {
  Expected expected;
  expected.calls = syntax_named(family);
  expected.functions = {"weather", "time"};
  return read_anyhow(expected, text);
}

TEST(Calls, OfHermes) {
  EXPECT_EQ(calls_in("hermes",
                     "Let me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
                     "{\"city\": \"Bo\\\"nn}\", \"days\": [1, {}]}}\n</tool_call>"),
            "say Let me look. | call weather | with {\"city\": \"Bo\\\"nn}\", \"days\": [1, {}]}");
  EXPECT_EQ(calls_in("hermes",
                     "<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>\n"
                     "<tool_call>\n{\"name\":\"time\",\"arguments\":{\"a\":1}}\n</tool_call>\n"),
            "call weather | with {} | call time | with {\"a\":1}");
  EXPECT_EQ(
      calls_in("hermes", "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call> and more"),
      "call time | with {} | say and more");
}

TEST(Calls, ObjectsAreReadInAnyOrder) {
  EXPECT_EQ(calls_in("hermes",
                     "<tool_call>{\"arguments\": {\"a\": \"}\"}, \"name\": \"time\"}</tool_call>"),
            "call time | with {\"a\": \"}\"}");
  EXPECT_EQ(calls_in("hermes",
                     "<tool_call>{\"type\": \"function\", \"id\": 7, \"name\": \"ti\\u006de\", "
                     "\"parameters\": {\"a\": 1}, \"id\": \"}x\"}</tool_call>!"),
            "call time | with {\"a\": 1} | say !");
  EXPECT_EQ(calls_in("hermes", "<tool_call>{\"name\": \"time\"}</tool_call>"),
            "call time | with {}");
  EXPECT_EQ(calls_in("hermes", "<tool_call>{\"name\": \"time\", \"arguments\": null}</tool_call>"),
            "call time | with {}");
  EXPECT_EQ(
      calls_in("hermes",
               "<tool_call>{\"name\": \"time\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>"),
      "call time | with {\"a\": 1}");
}

TEST(Calls, NothingIsLost) {
  EXPECT_EQ(calls_in("hermes", "a < b, <tool, <tool_call x"), "say a < b, <tool, <tool_call x");
  EXPECT_EQ(calls_in("hermes", "See <tool_call>\n{\"nam"), "say See <tool_call>\n{\"nam");
  EXPECT_EQ(calls_in("hermes", "<tool_call>{\"a\": 1}</tool_call>"),
            "say <tool_call>{\"a\": 1}</tool_call>");
  EXPECT_EQ(calls_in("hermes", "<tool_call> <tool_call>{\"name\": \"time\", \"arguments\": {}}"),
            "say <tool_call> | call time | with {}");
  EXPECT_EQ(calls_in("hermes", "<tool_call>{\"name\": \"time\", \"arguments\": {\"city\": \"Bo"),
            "call time | with {\"city\": \"Bo");
  EXPECT_EQ(
      calls_in("hermes", "<tool_call>{\"name\": \"time\", \"arguments\": {}\n</tool_call>\nDone."),
      "call time | with {} | say Done.");
  EXPECT_EQ(calls_in("hermes", "  \n"), "say   \n");
  EXPECT_EQ(calls_in("hermes", ""), "");
}

TEST(Calls, ALongHeadIsNone) {
  const std::string filler(kHeadBytesMax, 'x');
  Expected expected;
  expected.calls = syntax_named("hermes");
  const std::string text = "<tool_call>{\"" + filler + "\": 1, \"name\": \"time\"}</tool_call>";
  const std::string_view all = text;
  EXPECT_EQ(shown(read(expected, {all})), "say " + text);
  EXPECT_EQ(shown(read(expected, {all.substr(0, 9'000), all.substr(9'000)})), "say " + text);
}

TEST(Calls, OfLlama) {
  EXPECT_EQ(calls_in("llama3", "\n{\"name\": \"weather\", \"parameters\": {\"city\": \"Bonn\"}}"),
            "call weather | with {\"city\": \"Bonn\"}");
  EXPECT_EQ(calls_in("llama3",
                     "<|python_tag|>{\"name\": \"weather\", \"parameters\": {}}; "
                     "{\"name\": \"time\", \"parameters\": {\"a\": 1}}"),
            "call weather | with {} | call time | with {\"a\": 1}");
  // JSON that is the answer.
  EXPECT_EQ(calls_in("llama3", "{\"name\": \"Ada\", \"age\": 36}"),
            "say {\"name\": \"Ada\", \"age\": 36}");
  EXPECT_EQ(calls_in("llama3", "{\"name\": \"Ada\", \"parameters\": {}}"),
            "say {\"name\": \"Ada\", \"parameters\": {}}");
  EXPECT_EQ(calls_in("llama3", "Use {\"name\": \"time\", \"parameters\": {}}"),
            "say Use {\"name\": \"time\", \"parameters\": {}}");
  EXPECT_EQ(calls_in("llama3", "<|python_tag|>time.call(a=1)"), "say <|python_tag|>time.call(a=1)");
}

TEST(Calls, OfDeepSeek) {
  EXPECT_EQ(calls_in("deepseek_v3",
                     "So.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n"
                     "```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function"
                     "<｜tool▁sep｜>time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            "say So. | call weather | with {\"a\": 1} | call time | with {}");
  EXPECT_EQ(
      calls_in("deepseek_v31",
               "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"a\": 1}"
               "<｜tool▁call▁end｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
               "<｜tool▁calls▁end｜>ok"),
      "call weather | with {\"a\": 1} | call time | with {} | say ok");
  EXPECT_EQ(calls_in("deepseek_v3", "<｜tool▁calls▁begin｜>none"),
            "say <｜tool▁calls▁begin｜>none");
}

TEST(Calls, OfMistral) {
  EXPECT_EQ(calls_in("mistral",
                     "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"a\": [1]}, \"id\": "
                     "\"abc\"}, {\"name\": \"time\", \"arguments\": {}}]"),
            "call weather | with {\"a\": [1]} | call time | with {}");
  EXPECT_EQ(calls_in("mistral", "[TOOL_CALLS][{\"name\":\"time\",\"arguments\":{}}] and"),
            "call time | with {} | say and");
  EXPECT_EQ(calls_in("mistral_arguments",
                     "[TOOL_CALLS]weather[ARGS]{\"a\": 1}[TOOL_CALLS]time[CALL_ID]9aB[ARGS]{}"),
            "call weather | with {\"a\": 1} | call time | with {}");
  EXPECT_EQ(calls_in("mistral", "[TOOL"), "say [TOOL");
}

std::string thoughts_in(std::string_view text, bool is_thinking, std::string_view family = "") {
  Expected expected;
  expected.thoughts = true;
  expected.is_thinking = is_thinking;
  if (!family.empty()) expected.calls = syntax_named(family);
  return read_anyhow(expected, text);
}

TEST(Thoughts, AreToldApart) {
  EXPECT_EQ(thoughts_in("<think>\nHm. <b>\n\n</think>\n\nYes.\n", false),
            "think Hm. <b> | say Yes.\n");
  EXPECT_EQ(thoughts_in("\nHm.\n</think>Yes.", true), "think Hm. | say Yes.");
  EXPECT_EQ(thoughts_in("\n\n</think>\n\nYes.", true), "say Yes.");
  EXPECT_EQ(thoughts_in(" Yes. <think>", false), "say  Yes. <think>");
  EXPECT_EQ(thoughts_in("Hm, </thi", true), "think Hm, </thi");
  EXPECT_EQ(thoughts_in("<think", false), "say <think");
  EXPECT_EQ(thoughts_in("<think>Hm.</think>", false), "think Hm.");
}

TEST(Thoughts, StandBeforeCalls) {
  EXPECT_EQ(thoughts_in("<think>\n<tool_call>?\n</think>\n\n<tool_call>\n{\"name\": \"time\", "
                        "\"arguments\": {}}\n</tool_call>",
                        false, "hermes"),
            "think <tool_call>? | call time | with {}");
}

TEST(Thoughts, ThePromptMayBeginThem) {
  EXPECT_TRUE(thinks("{{ '<think>' }}"));
  EXPECT_TRUE(thinks("content.split('</think>')"));
  EXPECT_FALSE(thinks("{{ messages }}"));
  EXPECT_TRUE(is_thinking("<|assistant|><think>\n"));
  EXPECT_FALSE(is_thinking("<|assistant|><think>\n\n</think>\n\n"));
  EXPECT_FALSE(is_thinking("<think> is what I said<|im_end|>\n<|im_start|>assistant\n"));
}

TEST(Syntax, IsChosenByTheTemplate) {
  const auto family = [](std::string_view text) {
    const CallSyntax* syntax = syntax_of(text);
    return syntax == nullptr ? std::string_view("none") : syntax->family;
  };
  EXPECT_EQ(family("<tool_call></tool_call> XML tags: {\"name\": .., \"arguments\": ..}"),
            "hermes");
  EXPECT_EQ(family("<tool_call>\n<function=name><parameter=arguments>"), "none");
  EXPECT_EQ(family("<tool_call>name\n<arg_key>{{ call.arguments }}"), "none");
  EXPECT_EQ(family("'[TOOL_CALLS] ['"), "mistral");
  EXPECT_EQ(family("'[TOOL_CALLS]' + name + '[ARGS]'"), "mistral_arguments");
  EXPECT_EQ(family("Environment: ipython … {\"name\": function name, \"parameters\": dictionary}"),
            "llama3");
  EXPECT_EQ(family("<｜tool▁calls▁begin｜>…```json"), "deepseek_v3");
  EXPECT_EQ(family("<｜tool▁calls▁begin｜>"), "deepseek_v31");
  EXPECT_EQ(family("{{ messages }}"), "none");
}

}  // namespace
}  // namespace spillway::local::answer
