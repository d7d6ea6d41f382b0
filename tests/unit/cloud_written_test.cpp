// What a model wrote of an answer that may break off anywhere.
#include "backends/cloud/written_bytes.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::cloud {
namespace {

std::size_t written_in(std::string_view json, std::size_t piece = 4096) {
  WrittenBytes written;
  for (std::size_t at = 0; at < json.size(); at += piece) written.take(json.substr(at, piece));
  return written.bytes();
}

TEST(WrittenBytes, TextThoughtsAndCalls) {
  const std::string answer =
      R"({"id":"content","model":"a:b","choices":[{"message":{"role":"assistant","content": "four",)"
      R"("reasoning_content":"sixsix","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]},)"
      R"("logprobs":{"content":[{"token":"four","bytes":[1]}]}}]})";
  EXPECT_EQ(written_in(answer), 4U + 6 + 7);
  EXPECT_EQ(written_in(answer, 1), written_in(answer)) << "cut anywhere";
  EXPECT_EQ(written_in(R"({"content":[{"type":"text","text":"abc"},{"thinking":"de"}]})"), 5U);
}

TEST(WrittenBytes, ThoughtsToldTwiceCountOnce) {
  const std::string thoughts = R"("reasoning":"sixsix","reasoning_details":[)"
                               R"({"type":"reasoning.text","text":"sixsix","signature":"abc"}])";
  EXPECT_EQ(written_in(R"({"message":{"content":"four",)" + thoughts + "}}"), 4U + 6);
  EXPECT_EQ(written_in(R"({"message":{"reasoning":"six","reasoning_content":"six"}})"), 3U);
  EXPECT_EQ(written_in(R"({"reasoning_details":[{"summary":"five5"},{"data":"hidden"}],)"
                       R"("content":"ab"})"),
            5U + 2);
}

TEST(WrittenBytes, ArgumentsAsAnObject) {
  const std::string answer = R"({"content":[{"type":"tool_use","name":"f","input":)"
                             R"({"text":"a{b","deep":{"x":[1]}}},{"text":"abc"}]})";
  EXPECT_EQ(written_in(answer), std::string(R"({"text":"a{b","deep":{"x":[1]}})").size() + 3);
  EXPECT_EQ(written_in(answer, 1), written_in(answer));
  EXPECT_EQ(written_in(R"({"usage":{"input":12},"text":"abc"})"), 3U);
  EXPECT_EQ(written_in(R"({"input":{"half":"of)"), 11U);
}

TEST(WrittenBytes, EscapesCountAsWhatTheyStandFor) {
  const std::string answer = R"({"content":"a\n\"\\\u00e9\u4e2d\ud83d\ude00\u0041"})";
  EXPECT_EQ(written_in(answer), 1U + 1 + 1 + 1 + 2 + 3 + 4 + 1);
  EXPECT_EQ(written_in(answer, 1), written_in(answer));
}

TEST(WrittenBytes, AsFarAsItCame) {
  EXPECT_EQ(written_in(R"({"message":{"content":"half of)"), 7U);
  EXPECT_EQ(written_in(R"({"message":{"content":"an end \")"), 8U);
  EXPECT_EQ(written_in(R"({"message":{"cont)"), 0U);
  EXPECT_EQ(written_in(R"({"data":[{"embedding":"AAAA"}],"error":{"message":"no"}})"), 0U);
}

}  // namespace
}  // namespace spillway::cloud
