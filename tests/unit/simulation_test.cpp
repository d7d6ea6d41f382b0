// The replay through the real policy: deterministic, blind to the future, and with figures of its
// own.
#include "gateway/playback/simulation.h"

#include "config/load.h"
#include "gateway/playback/simulation_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>

namespace spillway {
namespace {

const std::string kRoot = SPILLWAY_SOURCE_DIR;

SimulationSetup setup_with(const std::string& policy) {
  const config::Loaded loaded = config::load_file(kRoot + policy, [](const std::string&) {
    return std::optional<std::string>("not-needed-to-simulate");
  });
  SimulationSetup setup;
  setup.settings = loaded.settings;
  return setup;
}

SimulationSetup gpu_node() { return setup_with("/config/policies/gpu-node.yaml"); }

simulate::RecordedTrace azure() {
  const std::string folder = kRoot + "/tests/data/traces/azure_llm_2023_";
  const std::vector<std::string> files = {folder + "conv.csv.gz", folder + "code.csv.gz"};
  auto trace = simulate::read_trace(files);
  EXPECT_TRUE(trace) << trace.error().message;
  return std::move(*trace);
}

simulate::Replay azure_at(double load) {
  const simulate::RecordedTrace trace = azure();
  simulate::ReplayRules rules;
  rules.scale = load * *simulate::reference_saturation("azure1h") / simulate::rate_of(trace, rules);
  return simulate::replay(trace, rules);
}

bool same(const SimulatedAnswer& a, const SimulatedAnswer& b) {
  return a.sent == b.sent && a.first_token == b.first_token && a.finish == b.finish &&
         a.provider == b.provider && a.reason == b.reason && a.cost == b.cost;
}

TEST(Simulation, IsTheSameEveryTime) {
  const simulate::Replay replay = azure_at(0.8);
  const SimulationSetup setup = gpu_node();
  const auto first = simulate_replay(setup, replay);
  const auto second = simulate_replay(setup, replay);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(std::equal(first->begin(), first->end(), second->begin(), second->end(), same));
}

TEST(Simulation, NoDecisionKnowsTheFuture) {
  const simulate::Replay replay = azure_at(1.5);
  constexpr double kFork = 1'200.0;
  simulate::Replay other = replay;
  for (simulate::TraceRequest& request : other.requests) {
    if (request.at <= kFork) continue;
    request.prompt_tokens = 1 + request.prompt_tokens / 3;
    request.completion_tokens = 2'000 - std::min(1'999, request.completion_tokens);
  }
  const SimulationSetup setup = gpu_node();
  const auto one = simulate_replay(setup, replay);
  const auto two = simulate_replay(setup, other);
  ASSERT_TRUE(one && two);
  int decided = 0, differ = 0;
  for (std::size_t i = 0; i < one->size(); ++i) {
    const bool before = (*one)[i].sent > 0.0 && std::min((*one)[i].sent, (*two)[i].sent) <= kFork;
    if (replay.requests[i].at > kFork) {
      differ += same((*one)[i], (*two)[i]) ? 0 : 1;
    } else if (before) {
      ++decided;
      EXPECT_EQ((*one)[i].sent, (*two)[i].sent) << i;
      EXPECT_EQ((*one)[i].provider, (*two)[i].provider) << i;
    }
  }
  EXPECT_GT(decided, 10'000);
  EXPECT_GT(differ, 10'000) << "the futures must really be different ones";
}

// An answer that goes on for hours, of which nobody can know yet how many.
TEST(Simulation, NoDecisionKnowsHowLongARunningAnswerWillGet) {
  const auto decided = [](int completion_tokens) {
    simulate::Replay replay;
    replay.length = 10'000.0;
    for (const double at : {0.0, 5.0}) {
      simulate::TraceRequest one;
      one.id = replay.requests.size();
      one.at = at;
      one.prompt_tokens = 1'000;
      one.completion_tokens = at == 0.0 ? completion_tokens : 50;
      replay.requests.push_back(one);
    }
    const auto answers = simulate_replay(gpu_node(), replay);
    return answers ? (*answers)[1] : SimulatedAnswer{};
  };
  const SimulatedAnswer one = decided(100'000), other = decided(428'500);
  EXPECT_EQ(one.reason, policy::Reason::local_meets_sla);
  EXPECT_EQ(other.reason, one.reason);
  EXPECT_EQ(other.predicted_ttft, one.predicted_ttft);
}

TEST(Simulation, EverybodyIsAnsweredOnceAndNobodyBeforeAsking) {
  const simulate::Replay replay = azure_at(0.8);
  const auto answers = simulate_replay(gpu_node(), replay);
  ASSERT_TRUE(answers);
  for (std::size_t i = 0; i < answers->size(); ++i) {
    const SimulatedAnswer& answer = (*answers)[i];
    ASSERT_FALSE(answer.failed);
    ASSERT_GE(answer.sent, replay.requests[i].at);
    ASSERT_GT(answer.first_token, answer.sent);
    ASSERT_GE(answer.finish, answer.first_token);
    ASSERT_EQ(answer.cost > 0, answer.provider >= 0);
  }
}

SimulationFigures with_feedback(SimulationSetup setup, const config::Feedback& feedback) {
  auto settings = std::make_shared<config::Settings>(*setup.settings);
  settings->policy.classes.front().feedback = feedback;
  setup.settings = std::move(settings);
  const simulate::Replay replay = azure_at(0.8);
  const auto answers = simulate_replay(setup, replay);
  return answers ? figures_of(setup, replay, *answers) : SimulationFigures{};
}

// tests/bench/routing.py --feedback prints these and others.
TEST(Simulation, FeedbackMeetsADriftThatNothingElseSees) {
  SimulationSetup setup = gpu_node();
  setup.engine.slowdown = 1.25;
  setup.without_drift = true;
  EXPECT_LT(with_feedback(setup, {}).attainment, 90.0);
  const config::Feedback feedback{.enabled = true, .headroom_min = 0.6, .headroom_max = 0.96};
  EXPECT_GT(with_feedback(setup, feedback).attainment, 95.0);
}

TEST(Simulation, FeedbackKeepsToWhatAClassMaySpendInAnHour) {
  config::Feedback feedback{.enabled = true, .headroom_max = 0.96};
  EXPECT_GT(with_feedback(gpu_node(), feedback).cloud_usd, 5.0);
  feedback.spend_per_hour_max = 4'000'000'000;
  const SimulationFigures kept_to = with_feedback(gpu_node(), feedback);
  EXPECT_LT(kept_to.cloud_usd, 4.2);
  EXPECT_GT(kept_to.attainment, 98.8);
}

// What this policy reaches, with a little room for another libm; tests/bench/routing.py prints the
// figures beside their goals.
TEST(Simulation, KeepsItsPromisesAtTheLowestPrice) {
  struct Goal {
    double load, attainment, usd_per_million;
  };
  for (const Goal& goal : {Goal{0.8, 99.5, 0.116}, Goal{1.5, 99.0, 0.70}}) {
    const simulate::Replay replay = azure_at(goal.load);
    const SimulationSetup setup = gpu_node();
    const auto answers = simulate_replay(setup, replay);
    ASSERT_TRUE(answers);
    const SimulationFigures figures = figures_of(setup, replay, *answers);
    std::printf("azure1h at %.0f %%:\n", 100.0 * goal.load);
    print_figures(figures, stdout);
    EXPECT_GE(figures.attainment, goal.attainment);
    EXPECT_LE(figures.usd_per_million, goal.usd_per_million);
    EXPECT_GE(figures.in_time, 99.9);
    EXPECT_EQ(figures.failed, 0u);
    EXPECT_LE(figures.prediction_error, 0.05);
    EXPECT_EQ(figures.held_most > 5'000, goal.load > 1.0);
    EXPECT_NEAR(figures.bound_kept, 95.0, 2.0);
  }
}

// Long answers fill the KV cache, and no provider reads its longest prompts in time.
TEST(Simulation, KnowsWhenTheCacheIsFullAndWhatNobodyCanKeep) {
  const std::vector<std::string> files = {kRoot + "/tests/data/traces/servegen_r1_day.csv.gz"};
  const auto trace = simulate::read_trace(files);
  ASSERT_TRUE(trace);
  simulate::ReplayRules rules;
  rules.speed = 8.0;
  rules.scale =
      0.8 * *simulate::reference_saturation("reason_day") / simulate::rate_of(*trace, rules);
  const simulate::Replay replay = simulate::replay(*trace, rules);
  const SimulationSetup setup = gpu_node();
  const auto answers = simulate_replay(setup, replay);
  ASSERT_TRUE(answers);
  const SimulationFigures figures = figures_of(setup, replay, *answers);
  EXPECT_GE(figures.attainment, 98.0);
  EXPECT_LE(figures.usd_per_million, 0.26);
  EXPECT_LE(figures.reasons.at("local_meets_sla").broken, 40);
  EXPECT_GE(figures.reasons.at("promise_forgone").requests, 100);
}

// What is due while they are all taken waits for one of them rather than for a full engine.
TEST(Simulation, FewPlacesAtTheProvidersDoNotMakeWorkThatWaitsLate) {
  const simulate::Replay replay = azure_at(1.5);
  SimulationSetup setup = gpu_node();
  auto settings = std::make_shared<config::Settings>(*setup.settings);
  for (config::ProviderTarget& provider : settings->providers) {
    provider.concurrency_max = 8;
    provider.rate_limit = {};
  }
  setup.settings = settings;
  const auto answers = simulate_replay(setup, replay);
  ASSERT_TRUE(answers);
  const SimulationFigures figures = figures_of(setup, replay, *answers);
  EXPECT_EQ(figures.failed, 0u);
  EXPECT_GE(figures.in_time, 99.5);
}

TEST(Simulation, DecisionsHoldTheWholeFailoverOrder) {
  const simulate::Replay replay = azure_at(1.5);
  const SimulationSetup setup = gpu_node();
  const auto answers = simulate_replay(setup, replay);
  ASSERT_TRUE(answers);
  const std::string path = testing::TempDir() + "decisions.csv";
  ASSERT_TRUE(write_decisions(path, setup, replay, *answers));
  std::map<std::uint64_t, std::vector<std::pair<double, std::string>>> rows;
  std::ifstream file(path);
  std::string line;
  ASSERT_TRUE(std::getline(file, line) && line == "id,at_ms,target");
  while (std::getline(file, line)) {
    const std::size_t at = line.find(',') + 1, target = line.find(',', at) + 1;
    rows[std::stoull(line)].emplace_back(std::stod(line.substr(at)), line.substr(target));
  }
  std::remove(path.c_str());
  ASSERT_EQ(rows.size(), replay.requests.size());

  const std::set<std::string> providers = {"ai-hub", "openmodel", "cloudbrain"};
  int second_choices = 0;
  for (std::size_t i = 0; i < answers->size(); ++i) {
    const SimulatedAnswer& answer = (*answers)[i];
    const auto& order = rows.at(replay.requests[i].id);
    const std::string local = replay.requests[i].batch ? "local-batch" : "local";
    if (!providers.contains(order.front().second)) {
      ASSERT_EQ(order.size(), 1u);
      ASSERT_EQ(order.front().second, local);
      continue;
    }
    ASSERT_EQ(order.size(), static_cast<std::size_t>(setup.settings->policy.attempts_max));
    const std::string answered = answer.provider < 0 ? local : target_of(setup, answer);
    bool among = false;
    for (const auto& [at_ms, target] : order) {
      ASSERT_EQ(at_ms, order.front().first) << "all are decided at once";
      ASSERT_LE(at_ms, 1e3 * answer.sent + 1.0);
      among |= target == answered;
    }
    ASSERT_TRUE(among);
    second_choices += answered == order.front().second ? 0 : 1;
  }
  EXPECT_GT(second_choices, 10) << "the cheapest provider fails for a fifth of the time";
}

TEST(Simulation, WhatIsLeftOutIsMissed) {
  const simulate::Replay replay = azure_at(0.8);
  SimulationSetup setup = gpu_node();
  setup.engine.slowdown = 1.25;
  const auto kept = [&] {
    const auto answers = simulate_replay(setup, replay);
    return answers ? figures_of(setup, replay, *answers).attainment : 0.0;
  };
  const double with_all = kept();
  setup.without_drift = true;
  EXPECT_GT(with_all, 99.0);
  EXPECT_LT(kept(), 90.0);
}

TEST(Simulation, AClassThatThePolicyDoesNotHaveIsNamed) {
  auto setup = gpu_node();
  setup.batch_class = "nightly";
  const auto answers = simulate_replay(setup, azure_at(0.1));
  ASSERT_FALSE(answers);
  EXPECT_NE(answers.error().message.find("nightly"), std::string::npos);
}

}  // namespace
}  // namespace spillway
