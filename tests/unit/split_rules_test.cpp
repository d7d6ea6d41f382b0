// The rules that cut text, as model files name them. What they cut, beside the library itself:
// tests/peers.
#include "backends/local/tokenizer/split_rules.h"

#include "backends/local/loader/model_file.h"
#include "backends/local/tokenizer/gguf_vocabulary.h"
#include "tests/unit/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(std::string_view pattern, std::string_view text) {
  const SplitRule rule = split_rule_of(pattern).value();
  std::vector<std::string> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = piece_end(rule, text, at);
    found.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return found;
}

TEST(SplitRules, ARunOfAClassIsAPieceAndWhatLiesBetweenIsOne) {
  EXPECT_THAT(pieces("[a-c]+", "xxabcyb"), ElementsAre("xx", "abc", "y", "b"));
  EXPECT_THAT(pieces(R"(\p{N}{1,3})", "a12345"), ElementsAre("a", "123", "45"));
  EXPECT_THAT(pieces(R"(\s?[!-/\]]+)", "a  !] ]"), ElementsAre("a ", " !]", " ]"));
  EXPECT_THAT(pieces("\\s?[\u3000x]+", "a\u3000x\u3000"), ElementsAre("a", "\u3000x\u3000"));
  EXPECT_THAT(pieces("[\r\n]", "a\r\n"), ElementsAre("a", "\r", "\n"));
  EXPECT_THAT(pieces("[é]+", "é\xC3"), ElementsAre("é", "\xC3"));
}

TEST(SplitRules, BlanksEndLinesInLinearTime) {
  EXPECT_THAT(pieces(R"(\s+$)", "a b \n c  "), ElementsAre("a b", " ", "\n c", "  "));
  EXPECT_THAT(pieces(R"(\s+$)", "\n"), ElementsAre("\n"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(pieces(R"(\s+$)", std::string(1 << 20, ' ') + "x").size(), 1U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(SplitRules, TheFilesOfOurModelsNameThem) {
  for (const char* name :
       {"gpt-2", "smollm", "llama-bpe", "llama3", "llama-v3", "pixtral", "smaug-bpe", "tekken",
        "qwen2", "deepseek-r1-qwen", "deepseek-llm", "deepseek-coder", "deepseek-v3"}) {
    EXPECT_TRUE(named_split(name)) << name;
  }
  EXPECT_FALSE(named_split("default"));
  EXPECT_FALSE(named_split(""));
}

bool adds_begin(const std::string& model, const std::string& pre) {
  local::GgufWriter writer;
  writer.text("general.architecture", "llama");
  writer.text("tokenizer.ggml.model", model);
  writer.text("tokenizer.ggml.pre", pre);
  const std::string path = testing::TempDir() + "adds_begin.gguf";
  writer.write(path);
  return usually_adds_begin(loader::ModelFile::open(path).value().metadata());
}

TEST(SplitRules, WhereAFileDoesNotSayTheBeginTokenIsLlamaCpps) {
  EXPECT_TRUE(adds_begin("llama", "default"));
  EXPECT_TRUE(adds_begin("gpt2", "llama-bpe"));
  EXPECT_TRUE(adds_begin("gpt2", "tekken"));
  EXPECT_FALSE(adds_begin("gpt2", "qwen2"));
  EXPECT_FALSE(adds_begin("gpt2", "smollm"));
}

}  // namespace
}  // namespace spillway::tokenizer
