#include "backends/simulated/echo.h"
#include "backends/simulated/performance.h"
#include "backends/simulated/rate_limiter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace spillway::simulated {
namespace {

constexpr std::uint64_t kSeed = 7;
constexpr int kRequests = 20'000;

struct Means {
  double first_token = 0.0;
  double response = 0.0;  // At 128 tokens out.
  double log_deviation = 0.0;
};

Means measure(const Profile& profile, const Script& script, int prompt_tokens) {
  Means means;
  double log_sum = 0.0;
  double log_squares = 0.0;
  for (int i = 0; i < kRequests; ++i) {
    const Performance one = perform(profile, script, kSeed, i, prompt_tokens);
    means.first_token += one.first_token_seconds / kRequests;
    means.response += (one.first_token_seconds + 128 * one.per_token_seconds) / kRequests;
    log_sum += std::log(one.first_token_seconds) / kRequests;
    log_squares += std::pow(std::log(one.first_token_seconds), 2) / kRequests;
  }
  means.log_deviation = std::sqrt(log_squares - log_sum * log_sum);
  return means;
}

TEST(SimulatedProfile, HasTheArticlesMeansPricesAndQuality) {
  struct Row {
    const char* name;
    double seconds;
    std::int64_t price;
    double quality;
  };
  for (const Row& row :
       {Row{"cloudbrain", 1.28, 2'750'000'000, 0.82}, Row{"ai-hub", 0.98, 1'980'000'000, 0.79},
        Row{"openmodel", 1.15, 2'100'000'000, 0.85}}) {
    const auto profile = find_profile(row.name);
    ASSERT_TRUE(profile);
    const Means means = measure(*profile, Script{}, 512);
    EXPECT_NEAR(means.response, row.seconds, 0.015 * row.seconds) << row.name;
    EXPECT_NEAR(means.first_token, 0.4 * row.seconds, 0.015 * row.seconds) << row.name;
    EXPECT_NEAR(means.log_deviation, 0.5, 0.01) << row.name;
    EXPECT_EQ(profile->price.input_per_million, row.price);
    EXPECT_EQ(profile->price.output_per_million, row.price);
    EXPECT_EQ(profile->quality, row.quality);
  }
  EXPECT_FALSE(find_profile("nobody"));
}

TEST(SimulatedProfile, LongPromptsTakeTheirReadingTime) {
  const Profile profile = *find_profile("ai-hub");
  const double at_512 = measure(profile, Script{}, 512).first_token;
  const double at_10512 = measure(profile, Script{}, 10'512).first_token;
  EXPECT_NEAR(at_10512 - at_512, 0.5, 1e-9);
}

TEST(SimulatedProfile, SlowIsAFactor) {
  const Profile profile = *find_profile("ai-hub");
  const Performance normal = perform(profile, Script{}, kSeed, 3, 512);
  Script script;
  script.slow = 3.0;
  const Performance slow = perform(profile, script, kSeed, 3, 512);
  EXPECT_DOUBLE_EQ(slow.first_token_seconds, 3.0 * normal.first_token_seconds);
  EXPECT_DOUBLE_EQ(slow.per_token_seconds, 3.0 * normal.per_token_seconds);
}

TEST(SimulatedProfile, AnotherMeanKeepsTheLaw) {
  Profile profile = *find_profile("ai-hub");
  EXPECT_DOUBLE_EQ(profile.latency.response_mean(), 0.98);
  profile.latency = profile.latency.with_response_mean(3.2);
  EXPECT_DOUBLE_EQ(profile.latency.response_mean(), 3.2);
  const Means means = measure(profile, Script{}, 512);
  EXPECT_NEAR(means.response, 3.2, 0.015 * 3.2);
  EXPECT_NEAR(means.first_token, 0.4 * 3.2, 0.015 * 3.2);
  EXPECT_NEAR(measure(profile, Script{}, 10'512).first_token - means.first_token, 0.5, 1e-9);
}

TEST(SimulatedProfile, InstantAnswersAtOnce) {
  const Performance one = perform(*find_profile("instant"), Script{}, kSeed, 1, 5'000);
  EXPECT_EQ(one.first_token_seconds, 0.0);
  EXPECT_EQ(one.per_token_seconds, 0.0);
}

TEST(SimulatedFaults, HappenInTheirShares) {
  Script script;
  script.faults.push_back(Fault{FaultKind::error, 0.18});
  script.faults.push_back(Fault{FaultKind::cut, 0.05});
  const Profile profile = *find_profile("openmodel");
  int errors = 0;
  int cuts = 0;
  for (int i = 0; i < kRequests; ++i) {
    const auto fault = perform(profile, script, kSeed, i, 512).fault;
    if (fault && fault->kind == FaultKind::error) ++errors;
    if (fault && fault->kind == FaultKind::cut) ++cuts;
  }
  EXPECT_NEAR(errors, 0.18 * kRequests, 200);
  EXPECT_NEAR(cuts, 0.05 * kRequests, 120);
}

TEST(SimulatedFaults, TheSeedDecidesAndTheOrderDoesNot) {
  Script script;
  script.faults.push_back(Fault{FaultKind::error, 0.5});
  const Profile profile = *find_profile("ai-hub");
  int differences = 0;
  for (int i = 0; i < 100; ++i) {
    const Performance once = perform(profile, script, kSeed, i, 512);
    const Performance again = perform(profile, script, kSeed, i, 512);
    const Performance other = perform(profile, script, kSeed + 1, i, 512);
    EXPECT_EQ(once.first_token_seconds, again.first_token_seconds);
    EXPECT_EQ(once.fault.has_value(), again.fault.has_value());
    if (once.fault.has_value() != other.fault.has_value()) ++differences;
  }
  EXPECT_GT(differences, 20);
}

TEST(SimulatedFaults, HaveNames) {
  for (int kind = 0; kind <= static_cast<int>(FaultKind::garbage); ++kind) {
    const auto name = name_of(static_cast<FaultKind>(kind));
    EXPECT_EQ(fault_kind_of(name), static_cast<FaultKind>(kind)) << name;
  }
  EXPECT_FALSE(fault_kind_of("earthquake"));
}

TEST(SimulatedRateLimit, HoldsTenSecondsWorthAndRefills) {
  const TimePoint start{};
  RateLimiter limiter(RateLimit{600.0, 0.0, 0}, start);  // Ten a second.
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(limiter.refuse(1'000'000, start)) << i;
  const auto wait = limiter.refuse(1, start);
  ASSERT_TRUE(wait);
  EXPECT_NEAR(*wait, 0.1, 1e-9);
  EXPECT_TRUE(limiter.refuse(1, start + from_seconds(0.05)));
  EXPECT_FALSE(limiter.refuse(1, start + from_seconds(0.101)));
  EXPECT_TRUE(limiter.refuse(1, start + from_seconds(0.102)));
}

TEST(SimulatedRateLimit, CountsTokens) {
  const TimePoint start{};
  RateLimiter limiter(RateLimit{0.0, 60'000.0, 0}, start);  // 10 000 in the bucket.
  EXPECT_FALSE(limiter.refuse(9'000, start));
  EXPECT_NEAR(*limiter.refuse(2'000, start), 1.0, 1e-9);
  EXPECT_FALSE(limiter.refuse(1'000, start));
  // More than the bucket holds passes once the bucket is full, and leaves a debt.
  const TimePoint later = start + from_seconds(100.0);
  EXPECT_FALSE(limiter.refuse(15'000, later));
  EXPECT_NEAR(*limiter.refuse(1'000, later), 6.0, 1e-9);
}

TEST(SimulatedEcho, RepeatsThePrompt) {
  const Echo echo("  two\nwords " + std::string(30, 'x'));
  EXPECT_EQ(echo.text(5), "two words two words two");
  EXPECT_EQ(echo.token(0), "two");
  EXPECT_EQ(echo.token(3), " words");
  EXPECT_EQ(Echo("").text(2), "word word");
  EXPECT_EQ(count_tokens("12345678"), 2);
}

TEST(SimulatedEcho, KnowsHowFarAnAnswerHasCome) {
  const Echo echo("two words here");
  for (std::size_t count : {0, 1, 2, 3, 7}) EXPECT_EQ(echo.tokens_in(echo.text(count)), count);
  EXPECT_EQ(echo.text(2, 2), " here two");
  EXPECT_EQ(echo.tokens_in("not of this house"), 4U);
}

}  // namespace
}  // namespace spillway::simulated
