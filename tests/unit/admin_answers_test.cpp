// What the admin listener says, and the bounded memory of decisions behind it.
#include "gateway/admin/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <thread>
#include <vector>

namespace spillway::admin {
namespace {

using nlohmann::json;

Receipt receipt_of(int number) {
  const TimePoint arrived = TimePoint{} + std::chrono::hours(1);
  Receipt receipt;
  receipt.request_id = "req_" + std::to_string(number);
  receipt.model_requested = "auto";
  receipt.request_class = "interactive";
  receipt.target = "ai-hub";
  receipt.reason = "spill_ttft";
  receipt.explanation = "local 900 ms > 500 ms; ai-hub 300 ms";
  receipt.predicted = policy::Prediction{.ttft = 0.3};
  receipt.attempts = {{"cloudbrain", Errc::backend_unavailable, "", 0.0}, {"ai-hub", {}, "", 0.0}};
  receipt.arrived = arrived;
  receipt.decided = arrived + std::chrono::milliseconds(1);
  receipt.first_token = arrived + std::chrono::milliseconds(321);
  receipt.ended = arrived + std::chrono::milliseconds(900);
  receipt.cost_nano_usd = 42;
  receipt.http_status = 200;
  return receipt;
}

class AdminAnswers : public testing::Test {
 protected:
  std::vector<std::string> not_ready_;
  std::vector<std::string> impaired_;
  Result<Reloaded> reloaded_;
  Result<Tried> tried_;
  std::string asked_;
  Result<void> ended_;
  bool forced_ = false;
  RolloutState rollout_;
  std::optional<ShadowChoice> shadow_;
  Decisions ring_{4};
  Admin admin_{{.not_ready = [this] { return not_ready_; },
                .impaired = [this] { return impaired_; },
                .metrics = [] { return std::string("a 1\n"); },
                .vllm_metrics = [] { return std::string("vllm:a 1\n"); },
                .config = [] { return std::string("server:\n  key: \"***\"\n"); },
                .decisions = [this](std::size_t count) { return ring_.last(count); },
                .decision = [this](std::string_view id) { return ring_.find(id); },
                .reload =
                    [this](bool force) {
                      forced_ = force;
                      return reloaded_;
                    },
                .rehearse =
                    [this](std::string_view text) {
                      asked_ = text;
                      return tried_;
                    },
                .promote = [this] { return ended_; },
                .roll_back = [this] { return ended_; },
                .rollout = [this] { return rollout_; },
                .shadow = [this](std::string_view) { return shadow_; }}};
};

TEST_F(AdminAnswers, AliveWhateverElseIsWrong) {
  not_ready_ = {"starting"};
  EXPECT_EQ(admin_.livez().status, 200);
  EXPECT_EQ(admin_.livez().body, "ok\n");
}

TEST_F(AdminAnswers, ReadyOrWhyNot) {
  EXPECT_EQ(admin_.readyz().status, 200);
  not_ready_ = {"starting: the model is being loaded", "draining"};
  const Answer answer = admin_.readyz();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(json::parse(answer.body)["ready"], false);
  EXPECT_EQ(json::parse(answer.body)["reasons"], json(not_ready_));
}

TEST_F(AdminAnswers, ReadyAllTheSameWithWhatHasFailed) {
  impaired_ = {"1 of 2 replicas of the local engine failed"};
  const Answer answer = admin_.readyz();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(json::parse(answer.body)["impaired"], json(impaired_));
}

TEST_F(AdminAnswers, PagesComeAsTheirSourcesWriteThem) {
  EXPECT_EQ(admin_.metrics().body, "a 1\n");
  EXPECT_EQ(admin_.metrics().content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(admin_.vllm_metrics().body, "vllm:a 1\n");
  EXPECT_EQ(admin_.config().body, "server:\n  key: \"***\"\n");
}

TEST_F(AdminAnswers, DecisionsAreTheNewestFirst) {
  for (int i = 1; i <= 3; ++i) ring_.record(receipt_of(i));
  const json all = json::parse(admin_.decisions("").body)["decisions"];
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["id"], "req_3");
  EXPECT_EQ(all[2]["id"], "req_1");
  EXPECT_EQ(all[0]["class"], "interactive");
  EXPECT_EQ(all[0]["target"], "ai-hub");
  EXPECT_EQ(all[0]["reason"], "spill_ttft");
  EXPECT_EQ(all[0]["explanation"], "local 900 ms > 500 ms; ai-hub 300 ms");
  EXPECT_EQ(all[0]["attempts"],
            json::parse(R"([{"target": "cloudbrain", "failure": "backend_unavailable"},
                            {"target": "ai-hub"}])"));
  EXPECT_EQ(all[0]["cost_nano_usd"], 42);
  EXPECT_EQ(all[0]["predicted_ttft_ms"], 300.0);
  EXPECT_EQ(all[0]["ttft_ms"], 320.0);
  EXPECT_EQ(all[0]["total_ms"], 900.0);
  EXPECT_EQ(all[0]["status"], 200);
  EXPECT_THAT(all[0]["at"].get<std::string>(), testing::MatchesRegex("20[0-9-]*T[0-9:]*Z"));
}

TEST_F(AdminAnswers, TheRingForgetsTheOldest) {
  for (int i = 1; i <= 10; ++i) ring_.record(receipt_of(i));
  const json all = json::parse(admin_.decisions("n=1000").body)["decisions"];
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0]["id"], "req_10");
  EXPECT_EQ(all[3]["id"], "req_7");
  EXPECT_EQ(json::parse(admin_.decisions("pretty&n=2").body)["decisions"].size(), 2u);
}

TEST_F(AdminAnswers, WhatWasNeverDecidedIsNoDecision) {
  Receipt refused = receipt_of(1);
  refused.reason.clear();
  refused.explanation.clear();
  ring_.record(refused);
  EXPECT_EQ(json::parse(admin_.decisions("").body)["decisions"].size(), 0u);
}

TEST_F(AdminAnswers, ExplainsADecisionWithItsAlternatives) {
  Receipt receipt = receipt_of(7);
  receipt.rule = "nights";
  receipt.considered = {{"local", "first token too late", false, 0.9, 4.0, 0},
                        {"ai-hub", "meets the SLA", true, 0.3, 1.5, 40},
                        {"openmodel", "meets the SLA", true, 0.4, 1.8, 50}};
  ring_.record(receipt);
  const Answer answer = admin_.explain("req_7");
  EXPECT_EQ(answer.status, 200);
  for (const std::string part :
       {"went to     ai-hub, reason spill_ttft, by rule `nights` (status 200)",
        "attempts    cloudbrain (backend_unavailable), then ai-hub",
        "first token predicted 0.300 s, came after 0.320 s",
        "last token  predicted 1.500 s, came after 0.900 s", "first token too late",
        "meets the SLA: taken", "meets the SLA, but costs more"})
    EXPECT_NE(answer.body.find(part), std::string::npos) << part << "\n" << answer.body;
  EXPECT_EQ(json::parse(admin_.decisions("").body)["decisions"][0]["rule"], "nights");
  EXPECT_EQ(admin_.explain("req_8").status, 404);
}

TEST_F(AdminAnswers, NoClientWritesALineOfAnExplanation) {
  Receipt odd = receipt_of(3);
  odd.model_requested = "auto\nwent to     nobody";
  odd.rule_facts = "label = 'a\rb'";
  ring_.record(odd);
  const std::string told = admin_.explain("req_3").body;
  EXPECT_NE(told.find("model auto?went to     nobody, class"), std::string::npos) << told;
  EXPECT_NE(told.find("rules saw   label = 'a?b'\n"), std::string::npos) << told;
}

TEST_F(AdminAnswers, ExplainsWhatThePolicyRefused) {
  Receipt refused = receipt_of(9);
  refused.reason.clear();
  refused.target.clear();
  refused.http_status = 403;
  refused.explanation = "The policy refuses this request.";
  ring_.record(refused);
  EXPECT_NE(admin_.explain("req_9").body.find("went to     nobody (status 403)\n"),
            std::string::npos)
      << admin_.explain("req_9").body;
}

TEST_F(AdminAnswers, AStrangeNumberOfDecisionsIsRefused) {
  for (const char* query :
       {"n=0", "n=1001", "n=-1", "n=x", "n=", "n=5x", "n=99999999999999999999"}) {
    EXPECT_EQ(admin_.decisions(query).status, 400) << query;
  }
}

TEST_F(AdminAnswers, BrokenTextOfAClientStaysJson) {
  Receipt odd = receipt_of(1);
  odd.model_requested = std::string("\xFF\"\n") + std::string(5'000, 'x');
  ring_.record(odd);
  const json all = json::parse(admin_.decisions("").body)["decisions"];
  EXPECT_EQ(all[0]["model"].get<std::string>().substr(0, 6), "\uFFFD\"\nx");
  EXPECT_LT(all[0]["model"].get<std::string>().size(), 300u);
}

TEST_F(AdminAnswers, ARefusedReloadSaysWhatIsWrong) {
  EXPECT_EQ(admin_.reload("").status, 200);
  EXPECT_FALSE(json::parse(admin_.reload("").body)["rehearsal"].contains("example"));
  reloaded_ =
      Reloaded{{.decisions = 40, .moved = 7, .stranded = 2, .example = "model `auto`: no"}, 0.1};
  EXPECT_EQ(json::parse(admin_.reload("").body)["share_of_keys"], 0.1);
  reloaded_->rehearsal.unauthenticated = 3;
  reloaded_->rehearsal.cost_before = 30'000'000;
  reloaded_->rehearsal.cost_after = 10'000'000;
  reloaded_->rehearsal.in_time_before = 38;
  reloaded_->rehearsal.in_time_after = 37;
  const json rehearsal = json::parse(admin_.reload("").body)["rehearsal"];
  EXPECT_EQ(rehearsal,
            json::parse(R"({"decisions": 40, "moved": 7, "stranded": 2, "unauthenticated": 3,
      "cost_before_usd": 0.03, "cost_after_usd": 0.01, "in_time_before": 38, "in_time_after": 37,
      "moves": [], "example": "model `auto`: no"})"));
  reloaded_ =
      Error{Errc::invalid_request, "line 3: unknown key `prot`, did you mean `port`?", "", {}};
  const Answer answer = admin_.reload("");
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(json::parse(answer.body)["error"], "line 3: unknown key `prot`, did you mean `port`?");
}

TEST_F(AdminAnswers, AFileIsRehearsedWithoutComingToAnything) {
  tried_ = Tried{{.decisions = 9, .moves = {{"chat", "local", "ai-hub", 3, 20'000'000}}}, ""};
  const Answer good = admin_.rehearse("rules: []");
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(asked_, "rules: []");
  EXPECT_EQ(json::parse(good.body)["objections"], nullptr);
  EXPECT_EQ(json::parse(good.body)["rehearsal"]["moves"],
            json::parse(R"([{"class": "chat", "from": "local", "to": "ai-hub", "requests": 3,
                             "cost_change_usd": 0.02}])"));
  tried_->objections = "too dear";
  EXPECT_EQ(admin_.rehearse("").status, 409);
  EXPECT_EQ(json::parse(admin_.rehearse("").body)["objections"], "too dear");
  tried_ = Error{Errc::invalid_request, "line 3: unknown key `prot`", "", {}};
  EXPECT_EQ(admin_.rehearse("").status, 422);
  EXPECT_EQ(json::parse(admin_.rehearse("").body)["error"], "line 3: unknown key `prot`");
}

TEST_F(AdminAnswers, AReloadIsForcedByItsWordAlone) {
  EXPECT_EQ(admin_.reload("force=true").status, 200);
  EXPECT_TRUE(forced_);
  EXPECT_EQ(admin_.reload("").status, 200);
  EXPECT_FALSE(forced_);
  EXPECT_EQ(admin_.reload("force=yes").status, 400);
}

TEST_F(AdminAnswers, ExplainsWhatTheShadowWouldHaveDone) {
  ring_.record(receipt_of(7));
  EXPECT_EQ(admin_.explain("req_7").body.find("shadow"), std::string::npos);
  shadow_ = ShadowChoice{"req_7", "openmodel", "rule", "nights", 12'000, true};
  EXPECT_NE(
      admin_.explain("req_7").body.find("shadow      would begin with openmodel, rule, by rule "
                                        "`nights`, price predicted 0.000012usd\n"),
      std::string::npos)
      << admin_.explain("req_7").body;
  shadow_ = ShadowChoice{"req_7", "ai-hub", "spill_ttft", "", 0, false};
  EXPECT_NE(admin_.explain("req_7").body.find("shadow      agrees on ai-hub, spill_ttft, price"),
            std::string::npos);
}

TEST_F(AdminAnswers, TellsHowTheRolloutStands) {
  rollout_.sha256 = "abc";
  EXPECT_EQ(json::parse(admin_.rollout().body),
            json::parse(R"({"sha256": "abc", "guarded_against": null, "shadow": null,
      "canary": null, "watch": null})"));
  rollout_.guarded = "2 of the last 40";
  rollout_.shadow = {.policy = "next.yaml", .sha256 = "def", .agreed = 3, .differed = 1};
  rollout_.shadow.cost_in_force = 2'000'000'000;
  rollout_.shadow.cost_of_shadow = 1'000'000'000;
  rollout_.shadow.moves = {{"chat", "ai-hub", "held", 1, -1'000'000'000}};
  EXPECT_EQ(json::parse(admin_.rollout().body), json::parse(R"({"sha256": "abc",
      "guarded_against": "2 of the last 40",
      "shadow": {"policy": "next.yaml", "problem": null, "sha256": "def", "agreed": 3,
        "differed": 1, "differing_share": 0.25, "skipped": 0, "cost_in_force_usd": 2.0,
        "cost_of_shadow_usd": 1.0, "moves": [{"class": "chat", "from": "ai-hub", "to": "held",
        "requests": 1, "cost_change_usd": -1.0}]}, "canary": null, "watch": null})"));
}

TEST_F(AdminAnswers, SaysWhatWasUnderTheCanary) {
  Receipt receipt = receipt_of(7);
  receipt.canary = 1;
  ring_.record(receipt);
  EXPECT_NE(admin_.explain("req_7").body.find("spill_ttft, under the canary (status 200)\n"),
            std::string::npos);
  ring_.record(receipt_of(8));
  const json all = json::parse(admin_.decisions("").body)["decisions"];
  EXPECT_EQ(all[0]["canary"], false);
  EXPECT_EQ(all[1]["canary"], true);
}

TEST_F(AdminAnswers, TellsHowACanaryDoes) {
  rollout_.canary.sha256 = "fed";
  rollout_.canary.share = 0.25;
  rollout_.canary.seconds = 12.04;
  rollout_.canary.sides = {{9, 0, 1, 5}, {0, 0, 0, 2}};
  const json canary = json::parse(admin_.promote().body)["canary"];
  EXPECT_EQ(canary, json::parse(R"({"state": "running", "why": null, "sha256": "fed",
      "share": 0.25, "seconds": 12.0,
      "stable": {"attainment": 0.9, "attained": 9, "missed": 0, "failed": 1, "unpromised": 5},
      "canary": {"attainment": null, "attained": 0, "missed": 0, "failed": 0, "unpromised": 2}})"));
  rollout_.canary.end = CanaryEnd::rolled_back;
  EXPECT_EQ(json::parse(admin_.roll_back().body)["canary"]["state"], "rolled_back");
  ended_ = Error{Errc::invalid_request, "there is no canary", "", {}};
  EXPECT_EQ(admin_.promote().status, 409);
  EXPECT_EQ(admin_.roll_back().status, 409);
}

TEST_F(AdminAnswers, TellsHowAWatchedPolicyDoes) {
  rollout_.watch.sha256 = "fed";
  rollout_.watch.seconds = 12.04;
  rollout_.watch.before = {9, 0, 1, 5};
  rollout_.watch.now = {1, 1, 0, 0};
  rollout_.watch.excused = 3;
  EXPECT_EQ(json::parse(admin_.rollout().body)["watch"],
            json::parse(R"({"state": "running", "why": null, "sha256": "fed", "seconds": 12.0,
      "before": {"attainment": 0.9, "attained": 9, "missed": 0, "failed": 1, "unpromised": 5},
      "now": {"attainment": 0.5, "attained": 1, "missed": 1, "failed": 0, "unpromised": 0},
      "excused": 3})"));
  rollout_.watch.end = WatchEnd::kept;
  EXPECT_EQ(json::parse(admin_.rollout().body)["watch"]["state"], "kept");
}

TEST(DecisionsRing, WorkersRecordWhileOperatorsRead) {
  Decisions ring(8);
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&ring, i] {
      for (int n = 0; n < 500; ++n) ring.record(receipt_of(i * 1'000 + n));
    });
  }
  for (int i = 0; i < 100; ++i) {
    for (const Decision& decision : ring.last(8)) EXPECT_EQ(decision.attempts.size(), 2u);
  }
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(ring.last(100).size(), 8u);
}

}  // namespace
}  // namespace spillway::admin
