// What an answer's parts come to, and what was saved by them.
#include "gateway/request/tab.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

config::Settings settings_with_a_provider() {
  config::Settings settings;
  config::ProviderTarget& provider = settings.providers.emplace_back();
  provider.name = "cloud";
  provider.endpoints = {"chat"};
  provider.price.input_per_million = provider.price.output_per_million = 2'000'000'000;
  return settings;
}

Part part_of(std::string target, bool local) {
  Part part{.target = std::move(target), .local = local};
  part.usage.prompt_tokens = 10;
  part.usage.completion_tokens = 5;
  part.usage_told = part.finished = true;
  part.completion_told = 5;
  return part;
}

Receipt settled(std::vector<Part> parts) {
  const config::Settings settings = settings_with_a_provider();
  Tab tab(nullptr, settings, nullptr);
  tab.order(ChatRequest{}, 10, false);
  Receipt receipt;
  receipt.parts = std::move(parts);
  tab.settle(receipt);
  return receipt;
}

TEST(Tab, WhatNobodyGotAvoidedNothing) {
  Part local = part_of("local", true);
  EXPECT_EQ(settled({local}).avoided_nano_usd, 15 * 2'000);
  local.lost = true;
  const Receipt receipt = settled({local, part_of("cloud", false)});
  EXPECT_EQ(receipt.avoided_nano_usd, 0);
  EXPECT_EQ(receipt.cost_nano_usd, 15 * 2'000);
}

TEST(Tab, TheEngineCostsItsTime) {
  const config::Settings settings = settings_with_a_provider();
  Receipt receipt;
  receipt.local_price.engine_hour = 3'600'000'000'000;  // A dollar a second.
  receipt.local_price.tokens.output_per_million = 1'000'000'000'000'000;
  receipt.parts = {part_of("local", true), part_of("local", true)};
  receipt.parts[0].engine_time = std::chrono::milliseconds(20);
  Tab tab(nullptr, settings, nullptr);
  tab.order(ChatRequest{}, 10, false);
  tab.settle(receipt);
  EXPECT_EQ(receipt.parts[0].cost_nano_usd, 20'000'000);
  EXPECT_EQ(receipt.parts[1].cost_nano_usd, 0) << "its tokens took none";
}

// Five tokens were held for, and took more than it was thought.
TEST(Tab, AHardBudgetPaysNoMoreTimeThanWasHeld) {
  config::Settings settings = settings_with_a_provider();
  config::Key key;
  key.budget.day = 1'000'000'000;
  key.budget.hard = true;
  Receipt receipt;
  receipt.local_price.engine_hour = 3'600'000'000'000;
  receipt.local_price.tokens.output_per_million = 1'000'000'000'000;  // A thousandth each.
  receipt.parts = {part_of("local", true)};
  receipt.parts[0].engine_time = std::chrono::milliseconds(20);
  Tab tab(nullptr, settings, &key);
  tab.order(ChatRequest{}, 10, false);
  tab.settle(receipt);
  EXPECT_EQ(receipt.cost_nano_usd, 5'000'000);
}

// With a hard budget, asked for two choices of 50 tokens, and told nothing but that.
Part left(const std::optional<Usage>& told, int words, int endings) {
  const config::Settings settings = settings_with_a_provider();
  config::Key key;
  key.budget.day = 1'000'000'000;
  key.budget.hard = true;
  ChatRequest request;
  request.body = std::string(1'000, 'x');
  request.choices = 2;
  request.sampling.tokens_max = 50;
  Tab tab(nullptr, settings, &key);
  tab.order(request, 10, false);
  Part part{.target = "cloud"};
  part.usage.prompt_tokens = 10;
  begin(request, part);
  for (int i = 0; i < words; ++i) count(Delta{.text = "word "}, part);
  if (told) bill(*told, part);
  for (int i = 0; i < endings; ++i) count(Delta{.finish = FinishReason::stop}, part);
  Receipt receipt;
  receipt.parts = {part};
  tab.settle(receipt);
  EXPECT_EQ(receipt.usage.prompt_tokens, told ? told->prompt_tokens : 10) << "as it was counted";
  return receipt.parts.front();
}

TEST(Tab, AHardBudgetReckonsWithTheMostOfWhatNobodyCounted) {
  const Part thinks = left(std::nullopt, 1, 0);
  EXPECT_EQ(thinks.usage.prompt_tokens, 1'000) << "a token a byte";
  EXPECT_EQ(thinks.usage.completion_tokens, 100) << "all that was granted";
  EXPECT_EQ(thinks.supposed_tokens, 1'000 - 10 + 100 - 2);
  EXPECT_EQ(thinks.cost_nano_usd, 1'100 * 2'000);
  EXPECT_TRUE(thinks.estimated);
  EXPECT_EQ(left(std::nullopt, 1, 1).usage.completion_tokens, 100) << "one choice thinks on";
  EXPECT_EQ(left(std::nullopt, 1, 2).usage.completion_tokens, 2) << "both have ended";
}

TEST(Tab, WhatATargetToldIsNotSupposed) {
  const Usage told{.prompt_tokens = 20, .completion_tokens = 30};
  EXPECT_EQ(left(told, 1, 0).cost_nano_usd, 50 * 2'000) << "after a word";
  EXPECT_EQ(left(told, 0, 0).cost_nano_usd, 120 * 2'000) << "before it has thought";
}

TEST(Tab, ADearerTierIsNoExactCost) {
  Part part = part_of("cloud", false);
  EXPECT_FALSE(settled({part}).parts.front().estimated);
  part.usage.at_dearer_rate = true;
  EXPECT_TRUE(settled({part}).parts.front().estimated);
}

// A ranking of 250 documents: three units, if nobody counts them.
Part ranked(const config::Price& price, const std::optional<Usage>& told) {
  config::Settings settings = settings_with_a_provider();
  settings.providers.front().price = price;
  Tab tab(nullptr, settings, nullptr);
  ChatRequest request;
  request.endpoint = Endpoint::rerank;
  request.search_units = 3;
  tab.order(request, 10, false);
  Part part{.target = "cloud"};
  part.finished = true;
  if (told) bill(*told, part);
  Receipt receipt;
  receipt.parts = {part};
  tab.settle(receipt);
  return receipt.parts.front();
}

TEST(Tab, ARankingCostsItsSearchUnits) {
  const config::Price of_requests{.per_request = 2'000'000};
  const config::Price of_searches{.per_request = 7, .per_search = 2'000'000};
  Usage told;
  told.searches = 2;
  EXPECT_EQ(ranked(of_requests, told).cost_nano_usd, 2 * 2'000'000);
  EXPECT_EQ(ranked(of_searches, told).cost_nano_usd, 7 + 2 * 2'000'000);
  EXPECT_EQ(ranked(of_requests, std::nullopt).cost_nano_usd, 3 * 2'000'000) << "nothing is told";
  const Usage tokens{.prompt_tokens = 5};
  EXPECT_EQ(ranked(of_requests, tokens).cost_nano_usd, 2'000'000) << "it has no units";
}

// Of a provider that says it asks so much; -1: it does not say.
Part charged(config::NanoUsd told, bool as_told, bool contradictory = false) {
  config::Settings settings = settings_with_a_provider();
  settings.providers.front().price.as_told = as_told;
  Tab tab(nullptr, settings, nullptr);
  tab.order(ChatRequest{}, 10, false);
  Receipt receipt;
  receipt.parts = {part_of("cloud", false)};
  receipt.parts.front().usage.charged_nano_usd = told;
  receipt.parts.front().usage.contradictory = contradictory;
  tab.settle(receipt);
  return receipt.parts.front();
}

TEST(Tab, WhatAProviderSaysThatItAsksIsHeeded) {
  EXPECT_FALSE(charged(-1, false).estimated);
  EXPECT_FALSE(charged(30'300, false).estimated) << "a hundredth more";
  EXPECT_TRUE(charged(31'000, false).estimated);
  EXPECT_TRUE(charged(0, false).charged_otherwise);
  EXPECT_EQ(charged(31'000, false).cost_nano_usd, 30'000);
  EXPECT_EQ(charged(31'000, true).cost_nano_usd, 31'000);
  EXPECT_FALSE(charged(31'000, true).estimated);
  EXPECT_EQ(charged(-1, true).cost_nano_usd, 30'000) << "nothing is told";
}

TEST(Tab, CountsThatContradictEachOtherAreNoExactCost) {
  const auto contradictory = [](config::NanoUsd told, bool as_told) {
    return charged(told, as_told, true).estimated;
  };
  EXPECT_TRUE(contradictory(-1, false));
  EXPECT_TRUE(contradictory(-1, true));
  EXPECT_TRUE(contradictory(30'000, false));
  EXPECT_FALSE(contradictory(30'000, true)) << "it says what it asks";
}

}  // namespace
}  // namespace spillway
