// Forms compiled in processes of their own, and what becomes of those that take too much.
#include "backends/local/grammar/served_compiler.h"
#include "tests/unit/local_grammar_vocabulary.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cctype>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace spillway::local::grammar {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using Kind = Form::Kind;
using Clock = std::chrono::steady_clock;

std::unique_ptr<Compiler> served(FormLimits limits = {}, Vocabulary words = small_vocabulary()) {
  return make_served_compiler(std::move(words), {SERVE_FORMS, {}}, limits);
}

// Beside the small one's tokens so many that reading them all takes time.
Vocabulary large_vocabulary() {
  Vocabulary words = small_vocabulary();
  for (int i = 0; i < 50'000; ++i) words.bytes.push_back("a" + std::to_string(i * 7919));
  return words;
}

Form form_of(Kind kind, std::string text) { return {kind, std::move(text), {}, "form"}; }

Json object_of(int properties, const std::function<Json(int)>& make) {
  Json schema{{"type", "object"}, {"additionalProperties", false}};
  for (int i = 0; i < properties; ++i) schema["properties"]["p" + std::to_string(i)] = make(i);
  return schema;
}

// Each within the limits of size, and at another part of the work for long.
std::vector<Form> slow_forms() {
  const Json lengths =
      object_of(300, [](int i) { return Json{{"type", "string"}, {"maxLength", 1'000 + i}}; });
  Json few = object_of(300, [](int) { return Json{{"type", "boolean"}}; });
  few["minProperties"] = 100;
  const Json patterns = object_of(25, [](int i) {
    return Json{{"type", "string"}, {"pattern", "^[a-f]{" + std::to_string(1'900 + i) + "}$"}};
  });
  Json lists{{"type", "string"}, {"maxLength", 500}};
  for (int i = 0; i < 25; ++i)
    lists = {{"type", "array"}, {"items", lists}, {"minItems", 50 + i}, {"maxItems", 500 + i}};
  std::string maybe;
  for (int i = 0; i < 2'000; ++i) maybe += "a?";
  return {form_of(Kind::schema, lengths.dump()), form_of(Kind::schema, few.dump()),
          form_of(Kind::schema, patterns.dump()), form_of(Kind::schema, lists.dump()),
          form_of(Kind::regex, maybe)};
}

// All that can come after each of some bytes, one after another.
std::vector<std::vector<std::uint32_t>> masks_of(const Grammar& grammar, std::string_view text) {
  const auto matcher = grammar.match();
  std::vector<std::vector<std::uint32_t>> masks;
  for (std::size_t at = 0;; ++at) {
    const Mask mask = matcher->allowed();
    masks.emplace_back(mask.begin(), mask.end());
    if (at == text.size() || !matcher->accept(text.substr(at, 1))) return masks;
  }
}

TEST(ServedForms, SayWhatThoseCompiledHereSay) {
  const auto here = make_compiler(small_vocabulary());
  const auto there = served();
  const std::vector<std::pair<Form, std::string>> cases = {
      {form_of(Kind::json, ""), R"({"a": [1, true, {"b": null}]})"},
      {form_of(Kind::schema, R"({"type": "object", "properties": {"a": {"type": "string",
        "maxLength": 9}, "b": {"enum": ["x", 2]}}, "required": ["b"]})"),
       R"({"a": "abc", "b": 2})"},
      {form_of(Kind::schema, R"({"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [{"type": "null"},
        {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 3}]}}})"),
       "[null, [[]]]"},
      {form_of(Kind::regex, "(ab|[0-9]{2,9}c)+\\."), "ab12345cab."},
      {form_of(Kind::grammar, "root ::= t (\"+\" t)*\nt ::= [0-9]+ | \"(\" root \")\""), "1+(2+3)"},
      {{Kind::choice, "", {"yes", "no", "\xC3\xA9"}, "form"}, "yes"}};
  for (const auto& [form, text] : cases) {
    const auto own = here->compile(form);
    const auto other = there->compile(form);
    ASSERT_TRUE(own && other) << form.text;
    const auto masks = masks_of(**own, text);
    EXPECT_EQ(masks.size(), text.size() + 1) << form.text;
    EXPECT_EQ(masks, masks_of(**other, text)) << form.text;
  }
  const Form wrong = form_of(Kind::schema, R"({"not": {}})");
  EXPECT_EQ(there->compile(wrong).error().message, here->compile(wrong).error().message);
  EXPECT_EQ(there->compile(wrong).error().param, "form");
}

TEST(ServedForms, EndWithTheirTime) {
  const auto compiler = served({.time = 1s}, large_vocabulary());
  ASSERT_TRUE(compiler->compile(form_of(Kind::regex, "a")));  // The vocabulary has been read.
  for (const Form& form : slow_forms()) {
    const auto began = Clock::now();
    const auto late = compiler->compile(form);
    EXPECT_LT(Clock::now() - began, 3s) << form.text.substr(0, 80);
    ASSERT_FALSE(late) << form.text.substr(0, 80);
    EXPECT_EQ(late.error().code, Errc::invalid_request);
    EXPECT_NE(late.error().message.find("'form' takes too long"), std::string::npos);
    EXPECT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ServedForms, EndWithTheirMemory) {
  const auto compiler = served({.time = 20s, .memory = 8u << 20}, large_vocabulary());
  ASSERT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
  Json choices;
  for (int i = 0; i < 3'000; ++i) choices["enum"].push_back("choice " + std::to_string(i * 7919));
  const auto refused = compiler->compile(form_of(Kind::schema, choices.dump()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("'form' takes too much memory"), std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
}
#endif

TEST(ServedForms, WhatComesToTooMuchIsRefused) {
  const auto compiler = served({.compiled_max = 10'000});
  EXPECT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
  EXPECT_FALSE(compiler->compile(form_of(Kind::json, "")));
}

TEST(ServedForms, AProgramThatDoesNotServeIsToldOf) {
  for (const char* program : {"/bin/false", "/no/such/program"}) {
    const auto compiler = make_served_compiler(small_vocabulary(), {program, {}});
    const auto failed = compiler->compile(form_of(Kind::regex, "a"));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::backend_unavailable);
  }
}

// The process that this one started.
int server_pid() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (std::isdigit(static_cast<unsigned char>(entry.path().filename().native()[0])) == 0)
      continue;
    std::ifstream file(entry.path() / "stat");
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    const auto name_end = stat.rfind(") ");
    if (name_end == std::string::npos) continue;
    if (std::stoi(stat.substr(name_end + 4)) == ::getpid()) return std::stoi(stat);
  }
  return 0;
}

void kill_server() {
  const int pid = server_pid();
  ASSERT_GT(pid, 0);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
}

// Lowers a limit of this process's for as long as it lives.
class Lowered {
 public:
  Lowered(__rlimit_resource kind, rlim_t most) : kind_(kind) {
    ::getrlimit(kind_, &before_);
    const rlimit now{most, before_.rlim_max};
    ::setrlimit(kind_, &now);
  }
  ~Lowered() { ::setrlimit(kind_, &before_); }
  Lowered(const Lowered&) = delete;

 private:
  const __rlimit_resource kind_;
  rlimit before_{};
};

TEST(ServedForms, AreBegunAgainWhereTheirServerIsKilled) {
  const auto compiler = served({.time = 1s}, large_vocabulary());
  ASSERT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
  const Form slow = slow_forms().front();
  auto late = std::async(std::launch::async, [&] { return compiler->compile(slow); });
  ASSERT_EQ(late.wait_for(300ms), std::future_status::timeout);
  kill_server();
  const auto refused = late.get();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("takes too long"), std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
}

TEST(ServedForms, AServerThatIsKilledAgainIsNoFormsFault) {
  const auto compiler = served({}, large_vocabulary());
  ASSERT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
  const Form slow = slow_forms().front();
  auto late = std::async(std::launch::async, [&] { return compiler->compile(slow); });
  for (int killed = 0; killed < 2; ++killed) {
    ASSERT_EQ(late.wait_for(2s), std::future_status::timeout);
    kill_server();
  }
  const auto refused = late.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::backend_unavailable) << refused.error().message;
  EXPECT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
}

TEST(ServedForms, WhereNoProcessCanBeStartedThatIsToldOf) {
  const auto compiler =
      make_served_compiler(small_vocabulary(), {SERVE_FORMS, {"without-children"}});
  const auto refused = compiler->compile(form_of(Kind::regex, "a"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::backend_unavailable) << refused.error().message;
  EXPECT_NE(refused.error().message.find("no process can be started"), std::string::npos);
}

TEST(ServedForms, GoOnWhereThereWereNoDescriptors) {
  const auto compiler = served();
  {
    const Lowered none(RLIMIT_NOFILE, 0);
    const auto refused = compiler->compile(form_of(Kind::regex, "a"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::backend_unavailable);
  }
  EXPECT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ServedForms, WhereThereIsNoMemoryThatIsToldOf) {
  Vocabulary words = small_vocabulary();
  words.bytes.emplace_back(256u << 20, 'a');
  const auto compiler = served({}, std::move(words));
  const Lowered none(RLIMIT_DATA, 4'096);
  const auto refused = compiler->compile(form_of(Kind::regex, "a"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::backend_unavailable);
}
#endif

TEST(ServedForms, WhatAServerThatDoesNotStartSaysIsTheCause) {
  const auto compiler = make_served_compiler(small_vocabulary(), {SERVE_FORMS, {"fail"}});
  const auto failed = compiler->compile(form_of(Kind::regex, "a"));
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("ended with status 3: no such vocabulary"),
            std::string::npos)
      << failed.error().message;
}

TEST(ServedForms, StoppingDoesNotWaitForAServerToStart) {
  const auto compiler = make_served_compiler(small_vocabulary(), {"/bin/sleep", {"10"}});
  auto late =
      std::async(std::launch::async, [&] { return compiler->compile(form_of(Kind::regex, "a")); });
  EXPECT_EQ(late.wait_for(200ms), std::future_status::timeout);
  const auto began = Clock::now();
  compiler->stop();
  EXPECT_EQ(late.get().error().code, Errc::backend_unavailable);
  EXPECT_LT(Clock::now() - began, 2s);
}

TEST(ServedForms, StoppingEndsWhatIsBeingCompiled) {
  const auto compiler = served({}, large_vocabulary());
  ASSERT_TRUE(compiler->compile(form_of(Kind::regex, "a")));
  const Form slow = slow_forms().front();
  auto late = std::async(std::launch::async, [&] { return compiler->compile(slow); });
  EXPECT_EQ(late.wait_for(200ms), std::future_status::timeout);
  const auto began = Clock::now();
  compiler->stop();
  EXPECT_EQ(late.get().error().code, Errc::backend_unavailable);
  EXPECT_LT(Clock::now() - began, 2s);
}

}  // namespace
}  // namespace spillway::local::grammar
