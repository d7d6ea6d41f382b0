// What a policy's own providers, keys, labels, classes and prices come to in a simulation.
#include "gateway/playback/simulation.h"
#include "gateway/playback/simulation_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace spillway {
namespace {

using namespace std::chrono_literals;

constexpr config::NanoUsd kUsd = 1'000'000'000;

config::ProviderTarget provider(const std::string& name, config::NanoUsd per_million) {
  config::ProviderTarget target;
  target.name = name;
  target.base_urls = {"http://127.0.0.1:1/v1"};
  target.serves = {{name, ""}};
  target.price = {per_million, per_million, per_million, per_million};
  target.measured = {.ttft_p50 = 400ms, .ttft_p99 = 1'200ms, .tokens_per_second = 50.0};
  return target;
}

// Everything leaves for the cheapest; what is named `nightly` has ten minutes.
config::Settings elsewhere(std::vector<config::ProviderTarget> providers) {
  config::Settings settings;
  settings.providers = std::move(providers);
  settings.policy.classes = {
      {.name = "chat", .sla = {.ttft = 2s}, .spill = config::Spill::always},
      {.name = "nightly", .sla = {.deadline = 10min}, .spill = config::Spill::always}};
  settings.policy.default_class = "chat";
  settings.policy.aliases = {{.name = "auto"}};
  return settings;
}

SimulationSetup setup_of(config::Settings settings) {
  SimulationSetup setup;
  setup.settings = std::make_shared<const config::Settings>(std::move(settings));
  setup.batch_class = "nightly";
  setup.overload = false;
  return setup;
}

struct Row {
  double at = 0.0;
  int prompt_tokens = 512;
  int completion_tokens = 50;
  simulate::Told told;
  bool named = false;
};

simulate::Replay replay_of(const std::vector<Row>& rows, simulate::Words words = {}) {
  simulate::Replay replay;
  replay.words = std::move(words);
  for (const Row& row : rows) {
    simulate::TraceRequest one;
    one.id = replay.requests.size();
    one.at = row.at;
    one.prompt_tokens = row.prompt_tokens;
    one.completion_tokens = row.completion_tokens;
    one.told = row.told;
    one.named = row.named;
    replay.requests.push_back(one);
  }
  replay.length = rows.back().at + 1.0;
  return replay;
}

simulate::Replay many(int count, double apart = 1.0) {
  std::vector<Row> rows;
  for (int i = 0; i < count; ++i) rows.push_back({.at = i * apart});
  return replay_of(rows);
}

std::vector<SimulatedAnswer> answers_of(const SimulationSetup& setup,
                                        const simulate::Replay& replay) {
  auto answers = simulate_replay(setup, replay);
  EXPECT_TRUE(answers) << answers.error().message;
  return answers ? std::move(*answers) : std::vector<SimulatedAnswer>{};
}

double first_token_at(double share, const std::vector<SimulatedAnswer>& answers) {
  std::vector<double> took;
  for (std::size_t i = 0; i < answers.size(); ++i)
    took.push_back(answers[i].first_token - answers[i].sent);
  std::sort(took.begin(), took.end());
  return took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))];
}

TEST(SimulatedWorlds, AnyProviderAnswersAsItsConfigurationSaysItDoes) {
  const SimulationSetup setup = setup_of(elsewhere({provider("deepseek", kUsd)}));
  const simulate::Replay replay = many(4'000);
  const auto answers = answers_of(setup, replay);
  EXPECT_NEAR(first_token_at(0.5, answers), 0.4, 0.02);
  EXPECT_NEAR(first_token_at(0.99, answers), 1.2, 0.12);
  double per_token = 0.0;
  for (const SimulatedAnswer& one : answers) per_token += (one.finish - one.first_token) / 49.0;
  EXPECT_NEAR(per_token / static_cast<double>(answers.size()), 1.0 / 50.0, 0.0005);
  EXPECT_EQ(target_of(setup, answers.front()), "deepseek");
  EXPECT_EQ(answers.front().cost, 562 * kUsd / 1'000'000);
}

TEST(SimulatedWorlds, WhatTheLogHasMeasuredCountsBeforeWhatTheFileSays) {
  SimulationSetup setup = setup_of(elsewhere({provider("deepseek", kUsd)}));
  setup.measured["deepseek"] = {.ttft_p50 = 0.9,
                                .ttft_p99 = 1.4,
                                .tokens_per_second = 20.0,
                                .failure_share = 0.0,
                                .answers = 100};
  const simulate::Replay replay = many(1'000);
  EXPECT_NEAR(first_token_at(0.5, answers_of(setup, replay)), 0.9, 0.04);
  setup.measured["deepseek"].answers = 3;  // Too few to say anything.
  EXPECT_NEAR(first_token_at(0.5, answers_of(setup, replay)), 0.4, 0.03);
}

TEST(SimulatedWorlds, WhoFailsIsGoneRound) {
  SimulationSetup setup =
      setup_of(elsewhere({provider("openai", 2 * kUsd), provider("deepseek", kUsd)}));
  const simulate::Replay replay = many(500);
  const auto share_of = [&](const std::string& name) {
    int answered = 0;
    for (const SimulatedAnswer& one : answers_of(setup, replay)) {
      EXPECT_FALSE(one.failed);
      answered += target_of(setup, one) == name ? 1 : 0;
    }
    return answered;
  };
  EXPECT_GE(share_of("deepseek"), 490);
  setup.failing["deepseek"] = 1.0;
  EXPECT_EQ(share_of("openai"), 500);
}

TEST(SimulatedWorlds, TheCheapestHasTheEpisodeWhereTheReferencesIsNotThere) {
  SimulationSetup setup =
      setup_of(elsewhere({provider("openai", 2 * kUsd), provider("deepseek", kUsd)}));
  setup.overload = true;
  const simulate::Replay replay = many(1'000);
  const auto slow_in = [&](double from, double to) {
    const auto answers = answers_of(setup, replay);
    int slow = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const double at = replay.requests[i].at;
      slow += from <= at && at < to && answers[i].attempts > 1 ? 1 : 0;
    }
    return slow;
  };
  EXPECT_GE(slow_in(400.0, 600.0), 5);
  EXPECT_LE(slow_in(0.0, 400.0), 4);
  setup.overloaded = "openai";
  EXPECT_LE(slow_in(400.0, 600.0), 4);
}

TEST(SimulatedWorlds, AServerThatFailsIsGoneRoundWithinItsTarget) {
  config::ProviderTarget vllm = provider("vllm", 0);
  vllm.base_urls = {"http://10.0.0.1:8000/v1", "http://10.0.0.2:8000/v1"};
  vllm.concurrency_max = 4;
  SimulationSetup setup = setup_of(elsewhere({vllm, provider("openai", kUsd)}));
  simulate::Replay replay = many(7, 0.0);  // At once: four there, three at the other.
  int here = 0;
  for (const SimulatedAnswer& one : answers_of(setup, replay))
    here += target_of(setup, one) == "vllm" ? 1 : 0;
  EXPECT_EQ(here, 7);
  vllm.base_urls.pop_back();
  setup.settings =
      std::make_shared<const config::Settings>(elsewhere({vllm, provider("openai", kUsd)}));
  here = 0;
  for (const SimulatedAnswer& one : answers_of(setup, replay))
    here += target_of(setup, one) == "vllm" ? 1 : 0;
  EXPECT_EQ(here, 4);
}

TEST(SimulatedWorlds, AClassIsKnownByItsNameAndKeepsItsOwnPromise) {
  simulate::Words words;
  const std::uint32_t nightly = words.place_of("nightly");
  const simulate::Replay replay = replay_of(
      {{.at = 0.0, .told = {.request_class = nightly}, .named = true}, {.at = 1.0}}, words);
  const SimulationSetup setup = setup_of(elsewhere({provider("deepseek", kUsd)}));
  const auto figures = figures_of(setup, replay, answers_of(setup, replay));
  EXPECT_EQ(figures.batch, 1u);
  EXPECT_EQ(figures.interactive, 1u);
  EXPECT_EQ(figures.classes.at("nightly").share.requests, 1);
  EXPECT_EQ(figures.classes.at("chat").share.requests, 1);
  EXPECT_EQ(figures.in_time, 100.0);
}

TEST(SimulatedWorlds, ATracesPromiseGoesBeforeTheClasss) {
  config::Settings settings = elsewhere({provider("deepseek", kUsd)});
  settings.policy.classes.front().sla.ttft = 1ms;
  const SimulationSetup strict = setup_of(settings);
  simulate::Replay replay = many(10);
  const auto kept = [&] {
    return figures_of(strict, replay, answers_of(strict, replay)).attainment;
  };
  EXPECT_EQ(kept(), 0.0) << "the class promises what nobody keeps";
  for (simulate::TraceRequest& one : replay.requests) one.own_ttft = true, one.ttft_slo = 60.0;
  EXPECT_EQ(kept(), 100.0) << "the trace's own 60 s";
}

TEST(SimulatedWorlds, APolicyThatPromisesLessDoesNotLookBetter) {
  config::Settings settings = elsewhere({provider("deepseek", kUsd)});
  const SimulationSetup loose = setup_of(settings);
  settings.policy.classes.front().sla.ttft = 1ms;
  const SimulationSetup strict = setup_of(settings);
  const simulate::Replay replay = many(10);
  const auto answers = answers_of(loose, replay);
  EXPECT_GT(figures_of(loose, replay, answers).attainment, 80.0);
  EXPECT_EQ(figures_of(loose, replay, answers, &strict).attainment, 0.0);
}

TEST(SimulatedWorlds, AKeyThatMayNotAskForTheModelIsRefused) {
  config::Settings settings = elsewhere({provider("deepseek", kUsd)});
  settings.keys = {{.name = "narrow", .tenant = "acme", .models = {"other"}}};
  simulate::Words words;
  const std::uint32_t narrow = words.place_of("narrow");
  const simulate::Replay replay = replay_of({{.told = {.key = narrow}}, {.at = 1.0}}, words);
  const auto answers = answers_of(setup_of(settings), replay);
  EXPECT_EQ(answers[0].refusal, Errc::forbidden);
  EXPECT_FALSE(answers[1].refusal);
}

TEST(SimulatedWorlds, BatchWorkPaysTheCheaperTiersPrice) {
  config::ProviderTarget deepseek = provider("deepseek", kUsd);
  deepseek.price.batch_discount = 0.5;
  const SimulationSetup setup = setup_of(elsewhere({deepseek}));
  simulate::Replay replay = many(2);
  replay.requests[1].batch = true;
  replay.requests[1].deadline = 900.0;
  const auto answers = answers_of(setup, replay);
  EXPECT_EQ(answers[0].cost, 562 * kUsd / 1'000'000);
  EXPECT_EQ(answers[1].cost, answers[0].cost / 2);
}

TEST(SimulatedWorlds, APromptThatAProviderHasReadCostsWhatCachedOnesDo) {
  config::ProviderTarget deepseek = provider("deepseek", kUsd);
  deepseek.price.cached_input_per_million = kUsd / 10;
  const SimulationSetup setup = setup_of(elsewhere({deepseek}));
  simulate::Replay replay = many(3, 200.0);
  replay.requests[2].at = 900.0;  // Five minutes later it is forgotten.
  replay.prefix_ids = {7};
  for (simulate::TraceRequest& one : replay.requests) one.prefix_count = 1;
  const auto answers = answers_of(setup, replay);
  EXPECT_EQ(answers[0].cost, 562'000);
  EXPECT_EQ(answers[1].cost, 51'200 + 50'000);
  EXPECT_EQ(answers[2].cost, 562'000);
}

TEST(SimulatedWorlds, ANodeIsPricedAsTheFileSaysBesideTheReferences) {
  config::Settings settings = elsewhere({provider("deepseek", kUsd)});
  const simulate::Replay replay = many(3);
  const SimulationSetup without = setup_of(settings);
  EXPECT_EQ(figures_of(without, replay, answers_of(without, replay)).node_usd, 0.0);
  config::LocalTarget local;
  local.name = "local";
  local.cost_per_hour = 36 * kUsd;
  settings.local = {local};
  const SimulationSetup with = setup_of(settings);
  const auto figures = figures_of(with, replay, answers_of(with, replay));
  EXPECT_GT(figures.node_usd, 0.0);
  EXPECT_NEAR(figures.priced_node_usd / figures.node_usd, 36.0 / 0.88, 1.0);
}

}  // namespace
}  // namespace spillway
