// The simulated provider over real HTTP, seen through the backend that will talk to real ones.
#include "gateway/provider/provider.h"
#include "tests/unit/cloud_asking.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>

namespace spillway::provider {
namespace {

using namespace std::chrono_literals;
using simulated::Fault;
using simulated::FaultKind;
using simulated::Script;
using test::Answer;
using test::Asking;

std::shared_ptr<const ChatRequest> chat(bool stream) {
  auto request = std::make_shared<ChatRequest>();
  request->stream = stream;
  request->body = R"({"max_tokens":6,"messages":[{"role":"user","content":"one \"two\" drei"}]})";
  request->sampling.tokens_max = 6;
  return request;
}

class SimulatedProvider : public ::testing::Test {
 protected:
  void start(ProviderOptions options = {}) {
    provider_ = std::make_unique<Provider>(std::move(options));
    const auto started = provider_->start();
    ASSERT_TRUE(started) << started.error().message;
    auto target = test::target_at("http://127.0.0.1:" + std::to_string(provider_->port()) + "/v1");
    target.timeouts = {500ms, 150ms, 150ms, 4'000ms};
    target.measured.tokens_per_second = 1'000.0;
    backend_ = cloud::make_cloud_backend(target, thread_);
  }

  Answer ask(bool stream) { return Asking(*backend_, chat(stream)).read().answer(); }

  Answer ask_with(FaultKind kind, bool stream) {
    Script script;
    Fault fault{kind};
    fault.after_seconds = 0.0;
    script.faults.push_back(fault);
    provider_->set_script(script);
    return ask(stream);
  }

  std::unique_ptr<Provider> provider_;
  cloud::CloudThread thread_;
  std::unique_ptr<Backend> backend_;
};

const std::string kEcho = R"(one "two" drei one "two" drei)";

TEST_F(SimulatedProvider, EchoesAndCounts) {
  ProviderOptions options;
  options.profile = "ai-hub";
  options.script.slow = 0.01;
  start(options);
  for (const bool stream : {true, false}) {
    const Answer answer = ask(stream);
    ASSERT_TRUE(answer.whole) << answer.error->message;
    EXPECT_EQ(answer.text, kEcho);
    EXPECT_EQ(answer.finish, FinishReason::length);
    ASSERT_TRUE(answer.usage);
    EXPECT_EQ(answer.usage->completion_tokens, 6);
    EXPECT_EQ(answer.usage->prompt_tokens, 8);
    EXPECT_EQ(answer.deltas, stream ? 8 : 1);
  }
  // The last thing a request does is to leave.
  EXPECT_TRUE(test::eventually([this] { return provider_->stats().open_streams == 0; }));
  const ProviderStats stats = provider_->stats();
  EXPECT_EQ(stats.requests, 2u);
  EXPECT_EQ(stats.answered, 2u);
  EXPECT_EQ(stats.completion_tokens, 12u);
  EXPECT_EQ(stats.failures, 0u);
}

TEST_F(SimulatedProvider, InstantGlancesAndAnswers) {
  start();
  for (const bool stream : {true, false}) {
    const Answer answer = ask(stream);
    ASSERT_TRUE(answer.whole) << answer.error->message;
    EXPECT_EQ(answer.usage->completion_tokens, 16);
  }
}

TEST_F(SimulatedProvider, EveryFaultIsAnErrorAndNeverAWholeAnswer) {
  start();
  for (int kind = 0; kind <= static_cast<int>(FaultKind::garbage); ++kind) {
    for (const bool stream : {true, false}) {
      const auto fault = static_cast<FaultKind>(kind);
      const Answer answer = ask_with(fault, stream);
      EXPECT_FALSE(answer.whole) << name_of(fault);
      ASSERT_TRUE(answer.error) << name_of(fault);
      const bool limited = fault == FaultKind::rate_limited;
      const bool full = fault == FaultKind::error;  // 503.
      EXPECT_EQ(answer.error->code, limited ? Errc::rate_limited
                                    : full  ? Errc::overloaded
                                            : Errc::backend_unavailable);
      EXPECT_EQ(answer.error->retry_after.has_value(), limited);
    }
  }
  EXPECT_EQ(provider_->stats().answered, 0u);
  EXPECT_TRUE(test::eventually([this] { return provider_->stats().failures == 20; }));
}

TEST_F(SimulatedProvider, FaultsComeAfterTheirTokens) {
  start();
  for (const FaultKind fault : {FaultKind::cut, FaultKind::stall, FaultKind::malformed}) {
    EXPECT_EQ(ask_with(fault, true).text, "one \"two\" drei") << name_of(fault);
  }
}

TEST_F(SimulatedProvider, DrawsByWhatItIsAsked) {
  ProviderOptions options;
  options.profile = "ai-hub";
  options.script.slow = 0.001;
  options.script.faults.push_back({.kind = FaultKind::error, .share = 0.5, .after_seconds = 0.0});
  std::atomic<std::uint64_t> number = 0;
  options.draw_of = [&number](std::string_view prompt) {
    return Draw{7, prompt == R"(one "two" drei)" ? number.load() : 8};
  };
  start(options);
  std::set<bool> outcomes;
  for (; number < 8; ++number) {
    const bool fails = ask(true).error.has_value();
    outcomes.insert(fails);
    EXPECT_EQ(ask(true).error.has_value(), fails) << number;
  }
  EXPECT_EQ(outcomes.size(), 2u) << "of eight, some fail and some do not";
}

TEST_F(SimulatedProvider, SeesAClientLeave) {
  start();
  Script script;
  script.faults.push_back(Fault{FaultKind::silence_after_headers});
  provider_->set_script(script);
  Asking asking(*backend_, chat(true));
  ASSERT_TRUE(test::eventually([this] { return provider_->stats().open_streams == 1; }));
  EXPECT_EQ(provider_->stats().disconnects, 0u);
  asking.drop();
  EXPECT_TRUE(test::eventually([this] {
    return provider_->stats().disconnects == 1 && provider_->stats().open_streams == 0;
  }));
}

TEST_F(SimulatedProvider, AsksForItsKey) {
  ProviderOptions options;
  options.key = "another key";
  start(options);
  EXPECT_EQ(ask(true).error->code, Errc::account_refused);
  EXPECT_EQ(provider_->stats().unauthorized, 1u);
}

TEST_F(SimulatedProvider, KeepsItsAccountLimits) {
  ProviderOptions options;
  options.profile = "openmodel";
  options.script.slow = 0.0;
  start(options);
  int limited = 0;
  for (int i = 0; i < 300 && limited == 0; ++i) {
    const Answer answer = ask(false);
    if (!answer.error) continue;
    EXPECT_EQ(answer.error->code, Errc::rate_limited);
    EXPECT_GT(answer.error->retry_after, 0ms);
    ++limited;
  }
  EXPECT_EQ(limited, 1);
  EXPECT_GE(provider_->stats().answered, 250u);
}

TEST_F(SimulatedProvider, DeadFromTheStartRefusesConnections) {
  ProviderOptions options;
  options.script.dead = true;
  start(options);
  EXPECT_NE(ask(true).error->message.find("refuses connections"), std::string::npos);
}

TEST_F(SimulatedProvider, DeadLaterClosesWithoutAByte) {
  start();
  Script script;
  script.dead = true;
  provider_->set_script(script);
  EXPECT_NE(ask(true).error->message.find("broke before its answer"), std::string::npos);
}

TEST(ProviderScript, IsReadStrictly) {
  const auto script = parse_script(
      R"({"slow":2.5,"faults":[{"kind":"error","share":0.18,"after_seconds":0.2,"status":500},)"
      R"({"kind":"cut","after_tokens":9}]})");
  ASSERT_TRUE(script);
  EXPECT_EQ(script->slow, 2.5);
  ASSERT_EQ(script->faults.size(), 2u);
  EXPECT_EQ(script->faults[0].share, 0.18);
  EXPECT_EQ(script->faults[0].status, 500);
  EXPECT_EQ(script->faults[1].kind, FaultKind::cut);
  EXPECT_EQ(script->faults[1].after_tokens, 9);
  for (const char* wrong :
       {"", "[]", R"({"slwo":1})", R"({"slow":"x"})", R"({"slow":-1})", R"({"faults":[1]})",
        R"({"faults":[{"kind":"x"}]})", R"({"faults":[{"kind":"cut","share":2}]})",
        R"({"faults":[{"kind":"cut","shar":1}]})", R"({"faults":{"kind":"cut"}})"}) {
    EXPECT_FALSE(parse_script(wrong)) << wrong;
  }
}

TEST(ProviderOptionsTest, AnUnknownProfileIsRefused) {
  ProviderOptions options;
  options.profile = "nobody";
  EXPECT_THROW(Provider{options}, std::invalid_argument);
}

}  // namespace
}  // namespace spillway::provider
