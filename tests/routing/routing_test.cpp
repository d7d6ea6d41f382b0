// Runs every case of every *.case file beside this one through the Router, each as a test of its
// own.
#include "gateway/policy/judge.h"
#include "gateway/policy/router.h"
#include "tests/routing/case_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace spillway::routing {
namespace {

namespace fs = std::filesystem;
using policy::FleetFacts;
using policy::ProviderFacts;
using policy::RequestFacts;

const std::string kRoot = SPILLWAY_SOURCE_DIR;
const TimePoint kNow{std::chrono::hours(1)};
constexpr int kAnswersOfLate = 50;

std::vector<Case> all_cases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kRoot + "/tests/routing")) {
    if (entry.path().extension() == ".case") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> all;
  for (const fs::path& file : files) {
    for (Case& one : read_cases(file.string(), kRoot)) all.push_back(std::move(one));
  }
  return all;
}

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.place + "_" + info.param.title;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
}

ProviderFacts facts_of(const ProviderWords& words, const config::Settings& settings) {
  const auto provider =
      std::find_if(settings.providers.begin(), settings.providers.end(),
                   [&](const config::ProviderTarget& each) { return each.name == words.name; });
  EXPECT_NE(provider, settings.providers.end()) << "no provider " << words.name;
  ProviderFacts facts = policy::facts_of(*provider, 0, FleetFacts{.now = kNow});
  facts.permission = words.permission;
  if (words.open_for) facts.open_until = kNow + *words.open_for;
  if (words.limited_for) facts.limited_until = kNow + *words.limited_for;
  facts.in_flight = words.in_flight;
  facts.ttft_p50 = words.ttft_p50.value_or(facts.ttft_p50);
  facts.ttft_p90 = words.ttft_p90.value_or(facts.ttft_p90);
  for (std::size_t size = 0; words.in_time && size < policy::InTime::kSizes; ++size)
    facts.in_time.set(size, static_cast<float>(*words.in_time));
  facts.tokens_per_second = words.tokens_per_second.value_or(facts.tokens_per_second);
  return facts;
}

class Situation {
 public:
  explicit Situation(const Case& one) : engine_(one.engine) {
    request_ = one.request;
    request_.model = one.model;
    request_.service_tier = one.service_tier;
    request_.class_header = one.class_header;
    request_.label = one.label;
    request_.endpoint = one.endpoint;
    request_.arrived = kNow - one.waited;
    for (const config::Key& key : one.settings->keys) {
      if (key.name == one.key) request_.key = &key;
    }
    EXPECT_EQ(request_.key != nullptr, !one.key.empty()) << "no key " << one.key;
    StepModel& step = engine_.step;
    for (double* part :
         {&step.base, &step.per_sequence, &step.per_context_token, &step.per_prefill_token}) {
      *part /= one.speed;
    }
    fleet_.now = kNow;
    fleet_.clock = one.clock.value_or(policy::WallClock{});
    fleet_.local = one.has_engine ? &engine_ : nullptr;
    fleet_.ttft_correction = one.correction;
    for (int i = 0; i < kAnswersOfLate && one.typical > 0; ++i)
      fleet_.answer_length.observe({0, request_.prompt_tokens}, one.typical);
    fleet_.gpu_second_worth = one.gpu_second_worth;
    fleet_.spilling = one.spilling;
    for (const ProviderWords& words : one.providers) {
      fleet_.providers.push_back(facts_of(words, *one.settings));
    }
  }

  const RequestFacts& request() const { return request_; }
  const FleetFacts& fleet() const { return fleet_; }

 private:
  EngineStatus engine_;
  RequestFacts request_;
  FleetFacts fleet_;
};

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
}

void check_error(const Case& one, const Error& error) {
  EXPECT_EQ(name_of(error.code), one.error) << error.message;
  EXPECT_EQ(error.param, one.param) << error.message;
  if (one.retry_after) {
    EXPECT_EQ(error.retry_after, one.retry_after);
  }
  expect_words(error.message, one.explained);
}

void check_plan(const Case& one, const policy::Plan& plan, const std::string& explained) {
  std::vector<std::string> targets, models;
  for (const policy::Candidate& candidate : plan.candidates) {
    targets.emplace_back(candidate.target);
    models.emplace_back(candidate.model);
    EXPECT_LE(candidate.expected_cost, candidate.worst_case_cost);
    EXPECT_LE(candidate.worst_case_cost, plan.worst_case_cost);
  }
  EXPECT_EQ(targets, one.targets) << explained;
  ASSERT_EQ(plan.wait.has_value(), one.waits.has_value()) << explained;
  if (one.waits) {
    EXPECT_EQ(plan.wait->deadline, kNow + *one.waits);
  }
  EXPECT_EQ(policy::name_of(plan.reason), one.reason) << explained;
  EXPECT_EQ(plan.rule, one.rule) << explained;
  if (!one.models.empty()) {
    EXPECT_EQ(models, one.models) << explained;
  }
  if (!one.request_class.empty()) {
    EXPECT_EQ(plan.request_class->name, one.request_class);
  }
  expect_words(explained, one.explained);
}

class Routing : public testing::TestWithParam<Case> {};

TEST_P(Routing, GoesWhereItShould) {
  const Case& one = GetParam();
  const int expected = !one.targets.empty() + !one.error.empty() + one.waits.has_value();
  ASSERT_EQ(expected, 1) << one.place << ": expects nothing, or several things";
  const Situation situation(one);
  const policy::Router router(one.settings);
  const auto plan = router.plan(situation.request(), situation.fleet(), one.turn);
  if (!plan) {
    check_error(one, plan.error());
    return;
  }
  check_plan(one, *plan, policy::explain(*plan, situation.request(), situation.fleet()));
}

INSTANTIATE_TEST_SUITE_P(Cases, Routing, testing::ValuesIn(all_cases()), test_name);

}  // namespace
}  // namespace spillway::routing
