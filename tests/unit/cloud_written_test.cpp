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
  EXPECT_EQ(written_in(answer), 4U + 6 + 9);
  EXPECT_EQ(written_in(answer, 1), written_in(answer)) << "cut anywhere";
  EXPECT_EQ(written_in(R"({"content":[{"type":"text","text":"abc"},{"thinking":"de"}]})"), 5U);
}

TEST(WrittenBytes, AsFarAsItCame) {
  EXPECT_EQ(written_in(R"({"message":{"content":"half of)"), 7U);
  EXPECT_EQ(written_in(R"({"message":{"content":"an end \")"), 9U);
  EXPECT_EQ(written_in(R"({"message":{"cont)"), 0U);
  EXPECT_EQ(written_in(R"({"data":[{"embedding":"AAAA"}],"error":{"message":"no"}})"), 0U);
}

}  // namespace
}  // namespace spillway::cloud
