#include "gateway/policy/situation.h"

#include "gateway/policy/classes.h"
#include "gateway/policy/judge.h"
#include "gateway/policy/rule_facts.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

using config::GivenFact;
using language::Fact;

const TimePoint kNow{std::chrono::hours(1)};
constexpr double kNoon = 43'200.0;
constexpr double kPromptTokens = 1'000.0;  // Of each that waits, where only their sum is given.
constexpr double kRequestsMax = 10'000.0;  // As config/given.cpp lets through.
constexpr int kUsualTokens = 200;          // Of the answers of those that run or wait.

EngineStatus idle(const config::LocalTarget& local) {
  EngineStatus engine;
  engine.ready = true;
  engine.sequences_max = local.sequences_max;
  engine.budget.tokens_max = local.step_tokens_max;
  engine.budget.seconds_max = std::chrono::duration<double>(local.step_time_max).count();
  engine.waiting_max = local.waiting_max;
  engine.kv_tokens_total = engine.kv_tokens_free = local.kv_tokens_max;
  engine.context_max = local.context_max;
  engine.step = {local.step_prior.base_ms * 1e-3, local.step_prior.per_sequence_ms * 1e-3,
                 local.step_prior.per_context_token_us * 1e-6,
                 local.step_prior.per_prefill_token_us * 1e-6, 1};
  return engine;
}

const config::Key* find_key(const config::Settings& settings, auto fits) {
  const auto found = std::find_if(settings.keys.begin(), settings.keys.end(), fits);
  return found == settings.keys.end() ? nullptr : &*found;
}

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(std::llround(seconds * 1e3));
}

std::optional<double> find(const std::vector<GivenFact>& given, Fact fact, int target) {
  for (const GivenFact& one : given) {
    if (one.fact == language::FactRef{fact, target}) return one.number;
  }
  return std::nullopt;
}

void scale(StepModel& step, double factor) {
  step.base *= factor;
  step.per_sequence *= factor;
  step.per_context_token *= factor;
  step.per_prefill_token *= factor;
}

}  // namespace

RequestFacts usual_request(const config::Settings& settings) {
  RequestFacts request;
  if (!settings.policy.aliases.empty()) {
    request.model = settings.policy.aliases.front().name;
  } else if (!settings.local.empty()) {
    request.model = settings.local.front().serves.front().name;
  } else {
    request.model = settings.providers.front().serves.front().name;
  }
  request.endpoint = "/v1/chat/completions";
  request.prompt_tokens = 100;
  return request;
}

Situation::Situation(std::shared_ptr<const config::Settings> settings, const RequestFacts& request,
                     const std::vector<GivenFact>& given)
    : settings_(std::move(settings)), request_(request) {
  request_.arrived = fleet_.now = kNow;
  fleet_.clock.seconds = kNoon;
  if (!settings_->local.empty()) {
    engine_ = idle(settings_->local.front());
    fleet_.local = &engine_;
  }
  for (std::size_t i = 0; i < settings_->providers.size(); ++i) {
    ProviderFacts facts = facts_of(settings_->providers[i], i, {.now = kNow});
    fleet_.providers.push_back(std::move(facts));
  }
  for (const GivenFact& one : given) give(one);
  fill_queue();
  pace_targets(given);
}

void Situation::give(const GivenFact& given) {
  switch (given.fact.fact) {
    case Fact::request_class: request_.class_header = given.text; return;
    case Fact::model: request_.model = given.text; return;
    case Fact::label: request_.label = given.text; return;
    case Fact::service_tier: request_.service_tier = given.text; return;
    case Fact::key:
      request_.key = find_key(*settings_, [&](const auto& key) { return key.name == given.text; });
      return;
    case Fact::tenant:
      request_.key =
          find_key(*settings_, [&](const auto& key) { return key.tenant == given.text; });
      return;
    case Fact::streaming: request_.streaming = given.number != 0.0; return;
    case Fact::prompt_tokens: request_.prompt_tokens = static_cast<int>(given.number); return;
    case Fact::cached_tokens: request_.cached_tokens = static_cast<int>(given.number); return;
    case Fact::max_tokens: request_.completion_tokens_max = static_cast<int>(given.number); return;
    case Fact::expected_tokens: request_.completion_tokens_expected = given.number; return;
    case Fact::deadline_left: request_.deadline = milliseconds(given.number); return;
    case Fact::budget_left: request_.budget_left = given.number; return;
    case Fact::time: fleet_.clock.seconds = given.number; return;
    case Fact::weekday:
      fleet_.clock.weekday = language::weekday_named(given.text).value_or(6);
      return;
    case Fact::queue_requests: queue_requests_ = std::min(given.number, kRequestsMax); return;
    case Fact::queue_tokens: queue_tokens_ = given.number; return;
    case Fact::running_requests:
      engine_.running.assign(static_cast<std::size_t>(std::min(given.number, kRequestsMax)),
                             {.context_tokens = 100, .generated = 1, .tokens_max = kUsualTokens});
      return;
    case Fact::kv_free:
      engine_.kv_tokens_free =
          static_cast<int>(std::min(given.number, 1.0) * engine_.kv_tokens_total);
      return;
    default: break;
  }
  if (given.fact.target > 0)
    return give_provider(given, fleet_.providers[static_cast<std::size_t>(given.fact.target - 1)]);
  if (given.fact.fact == Fact::available) engine_.ready = given.number != 0.0;
}

void Situation::give_provider(const GivenFact& given, ProviderFacts& facts) {
  switch (given.fact.fact) {
    case Fact::available:
      if (given.number != 0.0) return;
      facts.permission = Permission::open;
      facts.open_until = kNow + std::chrono::seconds(5);
      return;
    case Fact::ttft_p50: facts.ttft_p50 = given.number; return;
    case Fact::ttft_p99: facts.ttft_p99 = given.number; return;
    case Fact::predicted_ttft: facts.ttft_p90 = given.number; return;
    case Fact::tokens_per_second: facts.tokens_per_second = given.number; return;
    case Fact::in_flight: facts.in_flight = static_cast<int>(given.number); return;
    default: return;
  }
}

// Those who wait share the tokens; where their number is not given the queue is not full.
void Situation::fill_queue() {
  if (!queue_requests_ && !queue_tokens_) return;
  const double most = std::max(1, engine_.waiting_max - 1);
  const double tokens = queue_tokens_.value_or(100.0 * queue_requests_.value_or(0.0));
  const double guess = std::min(most, std::ceil(tokens / kPromptTokens));
  const auto requests = static_cast<int>(queue_requests_.value_or(guess));
  int left = static_cast<int>(tokens);
  for (int i = 0; i < requests; ++i) {
    const int own = left / (requests - i);
    left -= own;
    engine_.waiting.push_back({.prefill_left = own, .tokens_max = kUsualTokens});
  }
}

void Situation::pace_targets(const std::vector<GivenFact>& given) {
  const auto request_class = class_of(*settings_, request_);
  if (!request_class) return;  // The policy will say so.
  pace_local(find(given, Fact::predicted_ttft, 0), find(given, Fact::predicted_finish, 0));
  const Work work = work_of(sla_of(**request_class, request_), settings_->policy.classes.size(),
                            request_, fleet_);
  for (std::size_t i = 0; i < fleet_.providers.size(); ++i) {
    const auto finish = find(given, Fact::predicted_finish, static_cast<int>(i) + 1);
    ProviderFacts& facts = fleet_.providers[i];
    if (!finish || work.completion_tokens <= 1.0) continue;
    const double further = std::max(1e-6, *finish - facts.ttft_p90);
    facts.tokens_per_second = (work.completion_tokens - 1.0) / further;
  }
}

// The pace of its steps makes the rest of the answer as long as is given, the correction the first
// token.
void Situation::pace_local(std::optional<double> ttft, std::optional<double> finish) {
  if (fleet_.local == nullptr || (!ttft && !finish)) return;
  const double wanted = ttft.value_or(judged_local().ttft);
  if (finish) pace_steps(wanted, *finish);
  const double predicted = judged_local().ttft;
  if (predicted > 0.0 && std::isfinite(predicted)) fleet_.ttft_correction *= wanted / predicted;
}

// A few rounds: what is read and decoded beside it changes with the pace.
void Situation::pace_steps(double ttft, double finish) {
  for (int round = 0; round < 4; ++round) {
    const Judged now = judged_local();
    const double decoding = now.finish - now.ttft;
    if (!std::isfinite(decoding) || decoding <= 0.0) return;
    scale(engine_.step, std::max(1e-6, finish - ttft) / decoding);
  }
}

// As Decision judges it.
Judged Situation::judged_local() const {
  const config::RequestClass& request_class = **class_of(*settings_, request_);
  Work work =
      work_of(sla_of(request_class, request_), settings_->policy.classes.size(), request_, fleet_);
  work.lane = lane_of(request_class);
  return judge_local(fleet_, work, request_class.ttft_headroom);
}

}  // namespace spillway::policy
