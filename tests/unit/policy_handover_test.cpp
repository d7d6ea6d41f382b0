// When a batch is handed over, how much of it, and to whom.
#include "gateway/policy/handover.h"
#include "gateway/policy/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

namespace spillway::policy {
namespace {

constexpr double kHour = 3'600.0;

// A day for 10,000 lines, at a provider that takes six hours.
BatchProspect day_batch(double engine_lines_per_second = 0.0) {
  BatchProspect batch;
  batch.time_left = batch.lifetime = 24 * kHour;
  batch.window = 6 * kHour;
  batch.lines = 10'000;
  batch.lines_min = 100;
  batch.at_once = 32;
  batch.engine_lines_per_second = engine_lines_per_second;
  return batch;
}

TEST(Handover, WhatNoEngineServesLeavesAtOnce) {
  EXPECT_EQ(choose_handover(day_batch()).lines, 10'000);
}

TEST(Handover, TheReserveLetsAllBeAskedOneByOne) {
  EXPECT_DOUBLE_EQ(handover_reserve(10'000, 32, 6 * kHour), 313 * 10.0);
  EXPECT_DOUBLE_EQ(handover_reserve(100, 32, 6 * kHour), 0.6 * kHour);
}

// What became of a batch by its deadline.
struct Outcome {
  double left_after = 0.0;  // Hours, when the first lines left.
  double done_by_then = 0.0;
  std::int64_t handed_over = 0;
  double one_by_one = 0.0;  // At the end: neither handed over, nor done here.
};

Outcome live_through(BatchProspect batch) {
  Outcome outcome;
  double lines = static_cast<double>(batch.lines);
  const double all = lines;
  while (true) {
    batch.lines = std::lround(lines);
    const auto choice = choose_handover(batch);
    if (choice.lines > 0 && outcome.handed_over == 0) {
      outcome.left_after = (batch.lifetime - batch.time_left) / kHour;
      outcome.done_by_then = all - lines;
    }
    outcome.handed_over += choice.lines;
    lines -= static_cast<double>(choice.lines);
    const double passed = choice.look_in.value_or(batch.time_left);
    batch.time_left -= passed;
    lines = std::max(0.0, lines - batch.engine_lines_per_second * passed);
    if (!choice.look_in) break;
  }
  outcome.one_by_one = lines;
  return outcome;
}

TEST(Handover, TheEngineHasItsTimeFirst) {
  const auto early = choose_handover(day_batch(0.1));
  EXPECT_EQ(early.lines, 0);
  ASSERT_TRUE(early.look_in);
  EXPECT_NEAR(*early.look_in, 24 * kHour - 6 * kHour - 3'130 - 0.02 * 24 * kHour, 1.0);

  const Outcome outcome = live_through(day_batch(0.1));
  EXPECT_NEAR(outcome.left_after, 16.9, 0.1);
  EXPECT_NEAR(static_cast<double>(outcome.handed_over), 1'577, 5);
  EXPECT_EQ(outcome.one_by_one, 0.0) << "the engine does the rest in the provider's window";
}

TEST(Handover, WhatTheEngineGetsToStays) {
  BatchProspect batch = day_batch(2.0);
  batch.time_left = 7.0 * kHour;
  EXPECT_EQ(choose_handover(batch).lines, 0);
}

TEST(Handover, AFewAreNotWorthIt) {
  BatchProspect batch = day_batch();
  batch.lines = 99;
  EXPECT_EQ(choose_handover(batch).lines, 0);
  EXPECT_TRUE(choose_handover(batch).look_in);
  batch.lines = 100;
  EXPECT_EQ(choose_handover(batch).lines, 100);
}

TEST(Handover, TooLateIsForEver) {
  BatchProspect batch = day_batch();
  batch.time_left = batch.window + handover_reserve(batch.lines, batch.at_once, batch.window);
  EXPECT_EQ(choose_handover(batch).lines, 10'000);
  batch.time_left -= 1.0;
  EXPECT_EQ(choose_handover(batch).lines, 0);
  EXPECT_FALSE(choose_handover(batch).look_in);
}

TEST(Handover, LooksComeToAnEnd) {
  BatchProspect batch = day_batch(0.05);
  int looks = 0;
  for (auto choice = choose_handover(batch); choice.look_in; choice = choose_handover(batch)) {
    batch.time_left -= *choice.look_in;
    ASSERT_LT(++looks, 200);
  }
}

// As docs/batches.md tells it: a line costs 0.001 USD, half of that in batches.
TEST(Handover, TooEarlyLosesTheEngineAndTooLateTheDiscount) {
  constexpr double kLine = 0.001;
  const Outcome outcome = live_through(day_batch(0.1));
  const double by_rule =
      0.5 * kLine * static_cast<double>(outcome.handed_over) + kLine * outcome.one_by_one;
  const double never = kLine * (10'000 - 0.1 * 24 * kHour);
  const double at_once = 0.5 * kLine * 10'000;
  EXPECT_NEAR(at_once, 5.00, 0.005);
  EXPECT_NEAR(never, 1.36, 0.005);
  EXPECT_NEAR(by_rule, 0.79, 0.005);
  std::printf(
      "at once %.2f USD, never %.2f USD, by the rule %.2f USD: after %.1f h %.0f lines are "
      "done, %lld leave\n",
      at_once, never, by_rule, outcome.left_after, outcome.done_by_then,
      static_cast<long long>(outcome.handed_over));
}

std::shared_ptr<config::Settings> two_providers() {
  auto settings = std::make_shared<config::Settings>();
  for (const char* name : {"batches", "live"}) {
    config::ProviderTarget& provider = settings->providers.emplace_back();
    provider.name = name;
    provider.endpoints = {"chat"};
    provider.base_urls = {"http://127.0.0.1:1/v1"};
    provider.serves.push_back({.name = "model", .upstream = {}});
    provider.price.input_per_million = provider.price.output_per_million = 2'000'000'000;
  }
  settings->providers.front().batches.enabled = true;
  settings->providers.front().price.batch_discount = 0.5;
  config::RequestClass& batch = settings->policy.classes.emplace_back();
  batch.name = "batch";
  batch.spill = config::Spill::always;
  settings->policy.default_class = batch.name;
  return settings;
}

std::optional<HandoverOffer> offer(const std::shared_ptr<config::Settings>& settings,
                                   bool local_only = false) {
  RequestFacts request;
  request.model = "model";
  request.in_a_batch = true;
  request.local_only = local_only;
  request.prompt_tokens = 100;
  request.completion_tokens_max = 100;
  FleetFacts fleet;
  const auto plan = Router(settings).plan(request, fleet, Turn::cloud);
  return plan ? best_handover(*plan, request.prompt_tokens) : std::nullopt;
}

TEST(Handover, GoesWhereItsBatchesAreCheapest) {
  const auto settings = two_providers();
  const auto found = offer(settings);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->candidate.target, "batches");
}

TEST(Handover, StaysWhereAnotherIsCheaperAtOnce) {
  const auto settings = two_providers();
  settings->providers.back().price.input_per_million = 1;
  settings->providers.back().price.output_per_million = 1;
  EXPECT_FALSE(offer(settings));
}

TEST(Handover, NeverWhatMayNotLeave) {
  EXPECT_FALSE(offer(two_providers(), true));
  const auto settings = two_providers();
  settings->policy.classes.front().spill = config::Spill::never;
  EXPECT_FALSE(offer(settings));
  settings->policy.classes.front().spill = config::Spill::always;
  settings->providers.front().batches.enabled = false;
  EXPECT_FALSE(offer(settings));
}

}  // namespace
}  // namespace spillway::policy
