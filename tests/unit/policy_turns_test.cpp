// `prefer: weighted`: who comes first among providers that take turns.
#include "gateway/policy/router.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace spillway::policy {
namespace {

constexpr int kRequests = 20'000;

class Turns : public testing::Test {
 protected:
  Turns() {
    auto settings = std::make_shared<config::Settings>();
    for (const auto& [name, weight] :
         std::map<std::string, double>{{"a", 3.0}, {"b", 1.0}, {"c", 1.0}, {"spare", 0.0}}) {
      config::ProviderTarget provider;
      provider.name = name;
      provider.serves = {{"m", "m"}};
      provider.weight = weight;
      settings->providers.push_back(provider);
    }
    settings->policy.classes.push_back({.name = "all",
                                        .sla = {.ttft = config::Milliseconds(1'000)},
                                        .prefer = config::Prefer::weighted});
    settings->policy.default_class = "all";
    for (const config::ProviderTarget& provider : settings->providers) {
      ProviderFacts facts;
      facts.name = provider.name;
      facts.ttft_p50 = facts.ttft_p90 = 0.2;
      facts.tokens_per_second = 100.0;
      fleet_.providers.push_back(facts);
    }
    fleet_.now = TimePoint(std::chrono::hours(1));
    router_.emplace(std::move(settings));
  }

  // In the order in which they are asked, each once.
  std::vector<std::string> order(std::uint64_t draw) const {
    RequestFacts request;
    request.model = "m";
    request.draw = draw;
    request.prompt_tokens = 100;
    const auto plan = router_->plan(request, fleet_);
    std::vector<std::string> targets;
    for (const Candidate& one : plan->candidates) targets.emplace_back(one.target);
    return targets;
  }

  std::map<std::string, double> shares(std::size_t place) const {
    std::map<std::string, double> shares;
    for (int i = 0; i < kRequests; ++i) shares[order(i).at(place)] += 1.0 / kRequests;
    return shares;
  }

  ProviderFacts& facts_of(const std::string& name) {
    for (ProviderFacts& facts : fleet_.providers) {
      if (facts.name == name) return facts;
    }
    throw std::out_of_range(name);
  }

  FleetFacts fleet_;
  std::optional<Router> router_;
};

TEST_F(Turns, GoByWeight) {
  const auto first = shares(0);
  EXPECT_NEAR(first.at("a"), 0.6, 0.01);
  EXPECT_NEAR(first.at("b"), 0.2, 0.01);
  EXPECT_NEAR(first.at("c"), 0.2, 0.01);
  EXPECT_EQ(first.count("spare"), 0u);
}

TEST_F(Turns, AreTheSameForTheSameRequest) {
  for (std::uint64_t draw = 0; draw < 100; ++draw) EXPECT_EQ(order(draw), order(draw));
}

TEST_F(Turns, WhoDropsOutMovesOnlyItsOwnShare) {
  std::vector<std::vector<std::string>> before;
  for (int i = 0; i < kRequests; ++i) before.push_back(order(i));
  facts_of("a").permission = Permission::open;
  double to_b = 0.0;
  double moved = 0.0;
  for (int i = 0; i < kRequests; ++i) {
    const std::string now = order(i).front();
    const std::string& was = before[i].front();
    EXPECT_EQ(now, was == "a" ? before[i].at(1) : was);
    if (was != "a") continue;
    moved += 1.0;
    to_b += now == "b" ? 1.0 : 0.0;
  }
  EXPECT_NEAR(to_b / moved, 0.5, 0.02) << "who follows is drawn by weight, too";
}

TEST_F(Turns, WhoHasNoWeightIsLast) {
  for (std::uint64_t draw = 0; draw < 100; ++draw) EXPECT_EQ(order(draw).at(3), "spare");
  for (const std::string name : {"a", "b", "c"}) facts_of(name).permission = Permission::open;
  EXPECT_EQ(order(7).front(), "spare");
}

TEST_F(Turns, WhoIsLateHasNone) {
  facts_of("a").ttft_p90 = 3.0;
  const auto first = shares(0);
  EXPECT_EQ(first.count("a"), 0u);
  EXPECT_NEAR(first.at("b"), 0.5, 0.02);
  EXPECT_EQ(order(1).at(2), "spare") << "in time";
  EXPECT_EQ(order(1).at(3), "a");
}

}  // namespace
}  // namespace spillway::policy
