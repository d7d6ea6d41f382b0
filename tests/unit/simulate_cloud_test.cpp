#include "gateway/simulate/configured_cloud.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace spillway::simulate {
namespace {

using simulated::find_profile;

constexpr int kRequests = 40'000;
constexpr std::uint64_t kSeed = 11;

CloudProvider without_limits(const char* name, CloudRules rules = {}, std::uint64_t seed = kSeed) {
  simulated::Profile profile = *find_profile(name);
  profile.limit = {};
  return CloudProvider(profile, rules, seed);
}

CloudRequest request(std::uint64_t id, int prompt = 512, int completion = 128, int attempt = 0) {
  return {.id = id, .attempt = attempt, .prompt_tokens = prompt, .completion_tokens = completion};
}

struct Answers {
  std::vector<double> ttft;
  double response_mean = 0.0;
  std::map<CloudOutcome, int> outcomes;
};

Answers ask_many(CloudProvider cloud, double now, int prompt = 512) {
  Answers answers;
  for (int id = 0; id < kRequests; ++id) {
    const CloudReply reply = cloud.ask(request(static_cast<std::uint64_t>(id), prompt), now);
    ++answers.outcomes[reply.outcome];
    if (reply.outcome != CloudOutcome::answered) continue;
    answers.ttft.push_back(reply.first_token - now);
    answers.response_mean += reply.finish - now;
  }
  answers.response_mean /= static_cast<double>(answers.ttft.size());
  std::sort(answers.ttft.begin(), answers.ttft.end());
  return answers;
}

double mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

TEST(Cloud, AnswersWithTheArticlesMeansAndALognormalsQuantiles) {
  const Answers answers = ask_many(without_limits("ai-hub"), 100.0);
  // 127 times are between 128 tokens.
  EXPECT_NEAR(answers.response_mean, 0.98 * (0.4 + 0.6 * 127 / 128), 0.01);
  EXPECT_NEAR(mean(answers.ttft), 0.392, 0.004);
  const double median = 0.392 * std::exp(-0.125);
  const auto at = [&](double share) {
    return answers.ttft[static_cast<std::size_t>(share * static_cast<double>(answers.ttft.size()))];
  };
  EXPECT_NEAR(at(0.5), median, 0.01 * median);
  EXPECT_NEAR(at(0.95), median * std::exp(0.5 * 1.6449), 0.02 * median * std::exp(0.5 * 1.6449));
  EXPECT_NEAR(at(0.05), median * std::exp(-0.5 * 1.6449), 0.01);
}

TEST(Cloud, ReadsLongPromptsLonger) {
  EXPECT_NEAR(mean(ask_many(without_limits("ai-hub"), 0.0, 10'512).ttft) -
                  mean(ask_many(without_limits("ai-hub"), 0.0).ttft),
              0.5, 1e-6);
}

TEST(Cloud, FailsThreeInAThousandHalfOfThemLate) {
  const Answers answers = ask_many(without_limits("openmodel"), 0.0);
  EXPECT_NEAR(answers.outcomes.at(CloudOutcome::error), 0.0015 * kRequests, 25);
  EXPECT_NEAR(answers.outcomes.at(CloudOutcome::timeout), 0.0015 * kRequests, 25);
  CloudRules rules;
  rules.failure_share = 1.0;
  CloudProvider broken = without_limits("openmodel", rules);
  for (std::uint64_t id = 0; id < 100; ++id) {
    const CloudReply reply = broken.ask(request(id), 5.0);
    ASSERT_NE(reply.outcome, CloudOutcome::answered);
    EXPECT_DOUBLE_EQ(reply.finish, reply.outcome == CloudOutcome::error ? 5.2 : 7.0);
  }
}

TEST(Cloud, DrawsByRequestProviderAndAttemptWhateverTheOrder) {
  CloudProvider forwards = without_limits("ai-hub");
  CloudProvider backwards = without_limits("ai-hub");
  CloudProvider other_seed = without_limits("ai-hub", {}, kSeed + 1);
  CloudProvider other_name = without_limits("openmodel");
  std::vector<double> expected;
  for (std::uint64_t id = 0; id < 200; ++id) {
    expected.push_back(forwards.ask(request(id), 0.0).first_token);
  }
  int same_seed = 0, same_attempt = 0, same_name = 0;
  for (std::uint64_t id = 200; id-- > 0;) {
    EXPECT_EQ(backwards.ask(request(id), 0.0).first_token, expected[id]);
    same_seed += other_seed.ask(request(id), 0.0).first_token == expected[id];
    same_attempt += backwards.ask(request(id, 512, 128, 1), 0.0).first_token == expected[id];
    same_name += other_name.ask(request(id), 0.0).first_token == expected[id] * 1.15 / 0.98;
  }
  EXPECT_LT(same_seed + same_attempt + same_name, 6) << "failures may coincide";
}

TEST(Cloud, LimitsRequestsToTenSecondsWorthAtATime) {
  simulated::Profile profile = *find_profile("ai-hub");
  profile.limit.concurrency_max = 0;
  CloudProvider cloud(profile, {}, kSeed);
  for (std::uint64_t id = 0; id < 250; ++id) {
    ASSERT_NE(cloud.ask(request(id, 100, 10), 0.0).outcome, CloudOutcome::limited) << id;
  }
  const CloudReply reply = cloud.ask(request(250, 100, 10), 0.0);
  EXPECT_EQ(reply.outcome, CloudOutcome::limited);
  EXPECT_EQ(reply.finish, 0.0);
  EXPECT_NEAR(reply.retry_after, 0.04, 2e-6);
  EXPECT_EQ(cloud.ask(request(250, 100, 10), 0.03).outcome, CloudOutcome::limited);
  EXPECT_NE(cloud.ask(request(250, 100, 10), 0.041).outcome, CloudOutcome::limited);
}

TEST(Cloud, LimitsTokens) {
  CloudProvider cloud(*find_profile("ai-hub"), {}, kSeed);
  for (std::uint64_t id = 0; id < 5; ++id) {  // 500,000 in the bucket.
    ASSERT_NE(cloud.ask(request(id, 99'000, 1'000), 0.0).outcome, CloudOutcome::limited) << id;
  }
  EXPECT_NEAR(cloud.ask(request(5, 49'000, 1'000), 0.0).retry_after, 1.0, 2e-6);
  EXPECT_NE(cloud.ask(request(5, 49'000, 1'000), 1.001).outcome, CloudOutcome::limited);
}

TEST(Cloud, LetsARetryInWhenItSaid) {
  CloudProvider cloud(*find_profile("ai-hub"), {}, kSeed);
  double now = 3'000.1;
  for (std::uint64_t id = 0; id < 2'000; ++id) {
    const CloudReply reply = cloud.ask(request(id, 3'000, 10), now);
    if (reply.outcome != CloudOutcome::limited) continue;
    now += reply.retry_after;
    ASSERT_NE(cloud.ask(request(id, 3'000, 10), now).outcome, CloudOutcome::limited) << id;
  }
  EXPECT_GT(now, 3'060.0) << "the limits were met";
}

TEST(Cloud, HasSoManyInFlightAndNoMore) {
  simulated::Profile profile = *find_profile("ai-hub");
  profile.limit = {.concurrency_max = 256};
  CloudProvider cloud(profile, {}, kSeed);
  double first_finish = 1e9;
  for (std::uint64_t id = 0; id < 256; ++id) {
    const CloudReply reply = cloud.ask(request(id), 0.0);
    ASSERT_NE(reply.outcome, CloudOutcome::limited);
    first_finish = std::min(first_finish, reply.finish);
  }
  EXPECT_EQ(cloud.in_flight(0.0), 256);
  const CloudReply refused = cloud.ask(request(256), 0.1);
  EXPECT_EQ(refused.outcome, CloudOutcome::limited);
  EXPECT_NEAR(refused.retry_after, first_finish - 0.1, 1e-12);
  EXPECT_EQ(cloud.in_flight(first_finish), 255);
  EXPECT_NE(cloud.ask(request(256), first_finish).outcome, CloudOutcome::limited);
  EXPECT_EQ(cloud.in_flight(1e6), 0);
}

TEST(Cloud, OverloadsTheCheapestForAFifthOfTheTrace) {
  std::vector<CloudProvider> clouds;
  for (const std::string_view name : kReferenceClouds) {
    config::ProviderTarget provider;
    provider.name = name;
    clouds.push_back(
        clouds_of(provider, {.length = 1'000.0, .seed = kSeed, .overloaded = "ai-hub"}).front());
  }
  CloudRules rules;
  rules.overload = Overload{400.0, 600.0};
  const Answers during = ask_many(without_limits("ai-hub", rules), 400.0);
  EXPECT_NEAR(kRequests - during.outcomes.at(CloudOutcome::answered), 0.18 * kRequests, 300);
  EXPECT_NEAR(during.response_mean, 3.2, 0.05);
  for (const double now : {399.9, 600.0}) {
    const Answers outside = ask_many(without_limits("ai-hub", rules), now);
    EXPECT_NEAR(outside.response_mean, 0.98, 0.015) << now;
  }
  // The three as they come: the same script.
  const auto failures = [](CloudProvider& cloud, double from) {
    int failed = 0;
    for (std::uint64_t id = 0; id < 1'000; ++id) {
      const CloudReply reply = cloud.ask(request(id, 100, 10), from + 0.1 * double(id));
      failed += reply.outcome == CloudOutcome::error || reply.outcome == CloudOutcome::timeout;
    }
    return failed;
  };
  EXPECT_LT(failures(clouds[0], 0.0), 15);
  EXPECT_NEAR(failures(clouds[0], 450.0), 180, 40);
  EXPECT_LT(failures(clouds[1], 450.0), 15);
  EXPECT_LT(failures(clouds[0], 600.0), 15);
}

}  // namespace
}  // namespace spillway::simulate
