// Money: exact, rounded up, and never overflowing.
#include "gateway/policy/price.h"

#include <gtest/gtest.h>

#include <limits>

namespace spillway::policy {
namespace {

constexpr config::NanoUsd kUsd = 1'000'000'000;
constexpr config::NanoUsd kMost = std::numeric_limits<config::NanoUsd>::max();

// The article's AI-Hub: $1.98 per million tokens.
const config::Price kAiHub{1'980'000'000, 1'980'000'000, 1'980'000'000};

TEST(Price, AMillionTokensCostTheirPrice) {
  EXPECT_EQ(cost_of(kAiHub, {.prompt_tokens = 600'000, .completion_tokens = 400'000}),
            1'980'000'000);
  EXPECT_EQ(cost_of(kAiHub, {.prompt_tokens = 512, .completion_tokens = 128}), 640 * 1'980);
}

TEST(Price, AYearOfTheArticlesDaysIsExact) {
  // 100,000 calls a day of 512 + 128 tokens: $126.72 a day, $46,252.80 a year.
  const auto call = cost_of(kAiHub, {.prompt_tokens = 512, .completion_tokens = 128});
  EXPECT_EQ(call * 100'000, 126'720'000'000);
  EXPECT_EQ(call * 100'000 * 365, 46'252'800'000'000);
}

TEST(Price, ARequestMayCostSomethingBesides) {
  const config::Price price{.per_request = kUsd};
  EXPECT_EQ(cost_of(price, Usage{}), kUsd);
  EXPECT_EQ(worst_case_cost(price, 1'000'000, 1'000'000), kUsd);
}

TEST(Price, LocalTokensCostWhatTheyTakeAtMost) {
  EngineStatus engine;
  engine.step = {
      .base = 0.008, .per_sequence = 0.002, .per_context_token = 1e-6, .per_prefill_token = 0.001};
  engine.budget.tokens_max = 80;
  engine.running.resize(4);
  const LocalPrice local = local_price(3'600 * kUsd, engine, 5'000);  // A dollar a second.
  EXPECT_EQ(local.engine_hour, 3'600 * kUsd);
  const config::Price& price = local.tokens;
  EXPECT_NEAR(static_cast<double>(price.input_per_million), 1e6 * 0.0011 * 1e9, 1e3)
      << "80 a step, each with its base";
  EXPECT_NEAR(static_cast<double>(price.output_per_million), 1e6 * 0.015 * 1e9, 1e3)
      << "alone, over all of its context";
  EXPECT_EQ(local_price(0, engine, 5'000), LocalPrice{});
}

TEST(Price, TimeOfAnHourIsRoundedUpAndSaturates) {
  using namespace std::chrono_literals;
  EXPECT_EQ(cost_of_time(3'600 * kUsd, 1'500ms), 3 * kUsd / 2);
  EXPECT_EQ(cost_of_time(1, 1ns), 1);
  EXPECT_EQ(cost_of_time(kUsd, 0ns), 0);
  EXPECT_EQ(cost_of_time(-kUsd, 1s), 0);
  EXPECT_EQ(cost_of_time(kUsd, -1s), 0);
  constexpr auto kMost = std::numeric_limits<config::NanoUsd>::max();
  EXPECT_EQ(cost_of_time(kMost, std::chrono::nanoseconds::max()), kMost);
}

TEST(Price, OfSeveralEnginesEachCostsItsPart) {
  EngineStatus engine;
  engine.replicas.resize(4);
  for (EngineStatus& replica : engine.replicas) replica.ready = true;
  EXPECT_EQ(local_price(8 * kUsd, engine, 0).engine_hour, 2 * kUsd);
}

TEST(Price, CachedTokensHaveTheirOwnPrice) {
  const config::Price price{4 * kUsd, 8 * kUsd, 1 * kUsd};
  const Usage usage{.prompt_tokens = 1'000, .completion_tokens = 10, .cached_tokens = 600};
  EXPECT_EQ(cost_of(price, usage), 400 * 4'000 + 600 * 1'000 + 10 * 8'000);
}

TEST(Price, MoreCachedThanThePromptCountsAsAllOfIt) {
  const config::Price price{4 * kUsd, 8 * kUsd, 1 * kUsd};
  EXPECT_EQ(cost_of(price, {.prompt_tokens = 10, .cached_tokens = 999}), 10 * 1'000);
}

TEST(Price, TokensWrittenIntoACacheHaveTheirOwnPrice) {
  const config::Price price{.input_per_million = 4 * kUsd,
                            .output_per_million = 8 * kUsd,
                            .cached_input_per_million = 1 * kUsd,
                            .cache_write_per_million = 5 * kUsd};
  Usage usage{.prompt_tokens = 1'000, .completion_tokens = 10, .cached_tokens = 600};
  usage.cache_written_tokens = 300;
  EXPECT_EQ(cost_of(price, usage), 100 * 4'000 + 600 * 1'000 + 300 * 5'000 + 10 * 8'000);
  usage.cache_written_tokens = 999;  // More than there is: what is left of the prompt.
  EXPECT_EQ(cost_of(price, usage), 600 * 1'000 + 400 * 5'000 + 10 * 8'000);
  EXPECT_EQ(worst_case_cost(price, 1'000, 10), 1'000 * 5'000 + 10 * 8'000);
}

TEST(Price, WhatIsKeptForAnHourHasItsOwnPrice) {
  const config::Price price{.input_per_million = 4 * kUsd,
                            .cache_write_per_million = 5 * kUsd,
                            .cache_write_1h_per_million = 8 * kUsd};
  Usage usage{.prompt_tokens = 1'000};
  usage.cache_written_tokens = 300;
  usage.cache_written_1h_tokens = 100;
  EXPECT_EQ(cost_of(price, usage), 700 * 4'000 + 200 * 5'000 + 100 * 8'000);
  usage.cache_written_1h_tokens = 999;  // More than was written: all of it.
  EXPECT_EQ(cost_of(price, usage), 700 * 4'000 + 300 * 8'000);
  EXPECT_EQ(worst_case_cost(price, 1'000, 0), 1'000 * 8'000);
}

TEST(Price, SoundHasItsOwnPrice) {
  const config::Price price{.input_per_million = 4 * kUsd,
                            .output_per_million = 8 * kUsd,
                            .cached_input_per_million = 1 * kUsd,
                            .audio_input_per_million = 40 * kUsd,
                            .audio_output_per_million = 80 * kUsd};
  Usage usage{.prompt_tokens = 1'000, .completion_tokens = 100, .cached_tokens = 600};
  usage.audio_prompt_tokens = 300;
  usage.audio_completion_tokens = 70;
  EXPECT_EQ(cost_of(price, usage),
            100 * 4'000 + 600 * 1'000 + 300 * 40'000 + 30 * 8'000 + 70 * 80'000);
  usage.audio_prompt_tokens = 999;  // More than is fresh: all of that.
  EXPECT_EQ(cost_of(price, usage), 600 * 1'000 + 400 * 40'000 + 30 * 8'000 + 70 * 80'000);
  EXPECT_EQ(worst_case_cost(price, 1'000, 100), 1'000 * 40'000 + 100 * 80'000);
}

TEST(Price, ASearchIsNeverCheaper) {
  const config::Price price{
      .input_per_million = 3 * kUsd, .per_search = 10'000'000, .batch_discount = 0.5};
  Usage usage{.prompt_tokens = 10};
  usage.searches = 2;
  EXPECT_EQ(cost_of(price, usage), 10 * 3'000 + 20'000'000);
  usage.at_batch_rate = true;
  EXPECT_EQ(cost_of(price, usage), 10 * 1'500 + 20'000'000);
}

TEST(Price, TheBatchRateIsOffTheTokensAlone) {
  const config::Price price{.input_per_million = 3 * kUsd,
                            .output_per_million = 7 * kUsd,
                            .per_request = 500,
                            .batch_discount = 0.5};
  Usage usage{.prompt_tokens = 10, .completion_tokens = 3};
  EXPECT_EQ(cost_of(price, usage), 10 * 3'000 + 3 * 7'000 + 500);
  usage.at_batch_rate = true;
  EXPECT_EQ(cost_of(price, usage), (10 * 3'000 + 3 * 7'000) / 2 + 500);
  EXPECT_EQ(worst_case_cost(price, 10, 3), 10 * 3'000 + 3 * 7'000 + 500);  // It may be declined.
}

TEST(Price, AnHourCostsTheHardwareThePowerAndTheCare) {
  config::LocalTarget target;
  EXPECT_EQ(hourly_cost(target), 0);
  target.cost_per_hour = kUsd / 10;
  target.node = {.price = 26'280 * kUsd,
                 .lifetime = std::chrono::hours(3 * 365 * 24),
                 .watts = 700.0,
                 .idle_watts = 70.0,
                 .per_kwh = kUsd / 5};
  EXPECT_EQ(hourly_cost(target), kUsd / 10 + kUsd + kUsd * 7 / 50);
}

TEST(Price, FractionsOfANanoAreRoundedUpOnceForTheSum) {
  const config::Price price{1, 1, 1};
  EXPECT_EQ(cost_of(price, {}), 0);
  EXPECT_EQ(cost_of(price, {.prompt_tokens = 1, .completion_tokens = 1}), 1);
  EXPECT_EQ(cost_of(price, {.prompt_tokens = 500'000, .completion_tokens = 500'000}), 1);
  EXPECT_EQ(cost_of(price, {.prompt_tokens = 500'000, .completion_tokens = 500'001}), 2);
}

TEST(Price, SaturatesInsteadOfOverflowing) {
  const int tokens = std::numeric_limits<int>::max();
  const config::Price dear{kMost, kMost, kMost};
  EXPECT_EQ(cost_of(dear, {.prompt_tokens = tokens, .completion_tokens = tokens}), kMost);
  EXPECT_EQ(worst_case_cost(dear, tokens, tokens), kMost);
}

TEST(Price, NegativeCountsCostNothing) {
  EXPECT_EQ(cost_of(kAiHub, {.prompt_tokens = -5, .completion_tokens = -1, .cached_tokens = -3}),
            0);
}

TEST(Price, TheWorstCaseIsNeverBelowWhatIsBilled) {
  const config::Price price{3 * kUsd, 7 * kUsd, 1 * kUsd};
  const auto worst = worst_case_cost(price, 1'000, 64);
  EXPECT_EQ(worst, 1'000 * 3'000 + 64 * 7'000);
  EXPECT_GE(worst, cost_of(price, {.prompt_tokens = 1'000, .completion_tokens = 64}));
  EXPECT_EQ(worst_case_cost(price, 0, std::nullopt), kCompletionTokensAssumed * 7'000);
  // Even where what is cached costs more than what is not.
  const config::Price odd{1 * kUsd, 1 * kUsd, 2 * kUsd};
  EXPECT_GE(worst_case_cost(odd, 100, 0),
            cost_of(odd, {.prompt_tokens = 100, .cached_tokens = 100}));
}

TEST(Price, WhatWasAvoidedIsTheCheapestProvidersBill) {
  std::vector<config::ProviderTarget> providers(3);
  providers[0].price = {2'750'000'000, 2'750'000'000, 0};
  providers[1].price = kAiHub;
  providers[2].price = {2'100'000'000, 2'100'000'000, 0};
  const Usage usage{.prompt_tokens = 512, .completion_tokens = 128, .cached_tokens = 512};
  EXPECT_EQ(avoided_cost(providers, Endpoint::chat, usage), 640 * 1'980);
  EXPECT_EQ(avoided_cost({}, Endpoint::chat, usage), 0);
  providers.emplace_back().endpoints = {"moderations"};  // For nothing, but not this.
  EXPECT_EQ(avoided_cost(providers, Endpoint::chat, usage), 640 * 1'980);
  providers[0].price.batch_discount = 0.5;
  Usage patient = usage;
  patient.at_batch_rate = true;
  EXPECT_EQ(avoided_cost(providers, Endpoint::chat, patient), 640 * 2'750 / 2);
}

TEST(Price, ALongPromptAndItsAnswerHaveTheirOwnPrice) {
  // Gemini 2.5 Pro: 1.25 and 10 dollars, beyond 200,000 tokens 2.50 and 15.
  config::Price price{.input_per_million = kUsd * 5 / 4,
                      .output_per_million = 10 * kUsd,
                      .cached_input_per_million = kUsd / 8,
                      .audio_input_per_million = kUsd * 5 / 4,
                      .per_request = 7,
                      .batch_discount = 0.5};
  price.long_prompts = {.above = 200'000,
                        .input_per_million = kUsd * 5 / 2,
                        .output_per_million = 15 * kUsd,
                        .cached_input_per_million = kUsd / 4,
                        .audio_input_per_million = 3 * kUsd};
  Usage usage{.prompt_tokens = 200'000, .completion_tokens = 1'000, .cached_tokens = 50'000};
  EXPECT_EQ(cost_of(price, usage), 150'000 * 1'250 + 50'000 * 125 + 1'000 * 10'000 + 7);
  EXPECT_EQ(worst_case_cost(price, 200'000, 10), 200'000 * 1'250 + 10 * 10'000 + 7);
  usage.prompt_tokens = 200'001;
  EXPECT_EQ(cost_of(price, usage), 150'001LL * 2'500 + 50'000 * 250 + 1'000 * 15'000 + 7);
  EXPECT_EQ(worst_case_cost(price, 200'001, 10), 200'001LL * 3'000 + 10 * 15'000 + 7);
  usage.audio_prompt_tokens = 1'000;
  const auto tokens = 149'001LL * 2'500 + 1'000 * 3'000 + 50'000 * 250 + 1'000 * 15'000;
  EXPECT_EQ(cost_of(price, usage), tokens + 7);
  usage.at_batch_rate = true;
  EXPECT_EQ(cost_of(price, usage), tokens / 2 + 7);
  EXPECT_EQ(cost_of(at_length(price, 200'001), usage), cost_of(price, usage));
}

}  // namespace
}  // namespace spillway::policy
