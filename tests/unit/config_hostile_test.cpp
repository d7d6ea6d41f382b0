// Whatever stands in a file, loading ends soon, with settings or with problems.
#include "config/document.h"
#include "config/effective.h"
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <random>
#include <sstream>

namespace spillway::config {
namespace {

std::optional<std::string> test_environment(const std::string&) { return "a-secret"; }

std::string file(const std::string& name) {
  std::stringstream text;
  text << std::ifstream(std::string(SPILLWAY_SOURCE_DIR) + "/config/" + name).rdbuf();
  return text.str();
}

std::string default_file() { return file("spillway.yaml"); }

// Settings or problems, never both and never neither; what loads can be dumped and loaded again.
void expect_settled(const std::string& text) {
  const Loaded loaded = load_text(text, "fuzz", test_environment);
  ASSERT_NE(loaded.settings == nullptr, loaded.problems.empty()) << text;
  ASSERT_LE(loaded.problems.size(), 101u);
  if (loaded.settings == nullptr) return;
  const std::string dump = effective_yaml(*loaded.settings);
  const Loaded again = load_text(dump, "fuzz", test_environment);
  ASSERT_NE(again.settings, nullptr) << to_string(again.problems.at(0)) << "\n" << dump;
}

std::string first_problem(const std::string& text) {
  const Loaded loaded = load_text(text, "hostile", test_environment);
  return loaded.problems.empty() ? "" : to_string(loaded.problems.front());
}

std::string repeated(const std::string& piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

class Mutations {
 public:
  explicit Mutations(unsigned seed) : random_(seed) {}

  std::string of(std::string text) {
    const int edits = 1 + below(4);
    for (int i = 0; i < edits; ++i) mutate(text);
    return text;
  }

 private:
  int below(std::size_t limit) {
    return std::uniform_int_distribution<int>(0, static_cast<int>(limit) - 1)(random_);
  }

  void mutate(std::string& text) {
    static const std::vector<std::string> kPieces = {
        ":",     "\n",   "  ",   "- ",     "{",        "}",  "[",  "]",    "#", "'",
        "\"",    "&a ",  "*a",   "!!int ", "? ",       "| ", "> ", "\t",   "%", "---\n",
        "...\n", "<<: ", "\x04", "\xff",   "\xc3\xa9", "0",  "-1", "1e99", "~"};
    if (text.empty()) text = "a";
    const int at = below(text.size());
    switch (below(5)) {
      case 0: text.insert(at, kPieces[below(kPieces.size())]); break;
      case 1: text.erase(at, 1 + below(20)); break;
      case 2: text[at] = static_cast<char>(below(256)); break;
      case 3: text.insert(at, text.substr(below(text.size()), below(200))); break;
      default: swap_lines(text, at); break;
    }
  }

  void swap_lines(std::string& text, int at) {
    const auto end = text.find('\n', at);
    if (end == std::string::npos) return;
    const auto next = text.find('\n', end + 1);
    if (next == std::string::npos) return;
    const std::string line = text.substr(end + 1, next - end);
    text.erase(end + 1, next - end);
    text.insert(text.rfind('\n', at) + 1, line);
  }

  std::mt19937 random_;
};

TEST(ConfigHostile, MutationsOfTheDefaultFile) {
  const std::string original = default_file();
  for (unsigned seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_settled(Mutations(seed).of(original));
    if (HasFatalFailure()) return;
  }
}

TEST(ConfigHostile, MutationsOfRulesAndTests) {
  const std::string original = file("policies/rules.yaml");
  const auto rules = original.find("\nrules:");
  for (unsigned seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_settled(original.substr(0, rules) + Mutations(seed).of(original.substr(rules)));
    if (HasFatalFailure()) return;
  }
}

TEST(ConfigHostile, AsManyAndAsLongRulesAsAllowedAreCheckedInTime) {
  for (const int atoms : {30, 150}) {
    std::string rules = "\nrules:\n";
    for (int i = 0; i < 200; ++i) {
      std::string condition;
      for (int j = 0; j < atoms; ++j) {
        condition += j == 0 ? "" : j % 7 == 0 ? " or " : " and ";
        condition += "label != \"" + std::to_string(i * 1'000 + j) + "\"";
      }
      rules += "  - {route: local, if: '" + condition + "'}\n";
    }
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(first_problem(default_file() + rules), "");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(took.count(), 10.0) << atoms;
  }
}

TEST(ConfigHostile, EveryPrefixOfTheDefaultFile) {
  const std::string original = default_file();
  for (std::size_t length = 0; length < original.size(); length += 37) {
    expect_settled(original.substr(0, length));
    if (HasFatalFailure()) return;
  }
}

TEST(ConfigHostile, BombsAreRefusedSoon) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(first_problem("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
            "1:4: anchors (&name) are not read: write the value out");
  EXPECT_EQ(first_problem("a: *a\n"), "1:4: not YAML: the referenced anchor is not defined");
  for (const char* opening : {"[", "{a: ", "- ", "[{a: "}) {
    EXPECT_THAT(first_problem(repeated(opening, 100'000)),
                testing::EndsWith("nested deeper than 32 levels"));
  }
  EXPECT_EQ(first_problem("a: [" + repeated("1,", 30'000) + "]"),
            "1:39999: more than 20000 values");
  EXPECT_EQ(first_problem(std::string((1 << 20) + 1, ' ')), "larger than 1MiB");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count(), 5.0);
}

TEST(ConfigHostile, BytesThatAreNoText) {
  EXPECT_EQ(first_problem(std::string("log:\n  level: \0", 15)), "2:10: a control character");
  EXPECT_EQ(first_problem("log: \x04"), "1:6: a control character");
  for (const char* broken :
       {"\xff", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    EXPECT_EQ(first_problem("log: " + std::string(broken)), "1:6: not UTF-8");
  }
  EXPECT_EQ(first_problem("\xef\xbb\xbflog: {level: loud}\ntargets: {}\n").substr(0, 5), "1:14:");
}

TEST(ConfigHostile, KeysThatAreNoWords) {
  EXPECT_EQ(first_problem("[a]: b\n"), "1:1: a key must be a plain word");
  EXPECT_EQ(first_problem("? {a: b}\n: c\n"), "1:3: a key must be a plain word");
  EXPECT_EQ(first_problem("? \n: c\n"), "2:1: a key must be a plain word");
}

// A long line of keys must not take quadratic time.
TEST(ConfigHostile, ManyKeysAreReadInTime) {
  std::string text = "server:\n";
  for (int i = 0; i < 9'000; ++i) text += "  k" + std::to_string(i) + ": 1\n";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(first_problem(text), "");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count(), 5.0);
}

}  // namespace
}  // namespace spillway::config
