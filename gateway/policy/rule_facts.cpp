#include "gateway/policy/rule_facts.h"

#include <algorithm>
#include <limits>

namespace spillway::policy {
namespace {

using language::Fact;
using language::FactRef;

constexpr double kInfinite = std::numeric_limits<double>::infinity();

double prompt_tokens_unread(const EngineStatus& engine) {
  std::int64_t tokens = 0;
  for (const SequenceStatus& sequence : engine.waiting) tokens += sequence.prefill_left;
  for (const SequenceStatus& sequence : engine.running) tokens += sequence.prefill_left;
  return static_cast<double>(tokens);
}

double per_thousand(config::NanoUsd per_million) {
  return static_cast<double>(per_million) / 1'000.0;
}

}  // namespace

std::string_view RuleFacts::text(const FactRef& fact) const {
  const RequestFacts& request = sight_.request;
  switch (fact.fact) {
    case Fact::request_class: return sight_.request_class.name;
    case Fact::model: return request.model;
    case Fact::tenant: return request.key ? std::string_view(request.key->tenant) : "anonymous";
    case Fact::key: return request.key ? std::string_view(request.key->name) : "";
    case Fact::label: return request.label;
    case Fact::service_tier: return request.service_tier;
    case Fact::weekday:
      return language::weekdays()[static_cast<std::size_t>(sight_.fleet.clock.weekday)];
    case Fact::residency:
      return sight_.settings.providers[static_cast<std::size_t>(fact.target - 1)].residency;
    default: return "";
  }
}

double RuleFacts::number(const FactRef& fact) const {
  const Work& work = sight_.work;
  switch (fact.fact) {
    case Fact::streaming: return sight_.request.streaming;
    case Fact::prompt_tokens: return work.prompt_tokens;
    case Fact::cached_tokens: return work.cached_tokens;
    case Fact::max_tokens:
      return work.completion_tokens_max ? *work.completion_tokens_max : kInfinite;
    case Fact::expected_tokens: return work.completion_tokens;
    case Fact::deadline_left: return deadline_left();
    case Fact::budget_left: return sight_.request.budget_left;
    case Fact::sla_ttft: return work.ttft_max;
    case Fact::sla_per_token: return work.per_token_max;
    case Fact::queue_requests:
    case Fact::queue_tokens:
    case Fact::running_requests:
    case Fact::kv_free: return of_engine(fact.fact);
    case Fact::time: return sight_.fleet.clock.seconds;
    default: break;
  }
  if (fact.target == 0) return of_local(fact.fact);
  return of_provider(fact.fact, static_cast<std::size_t>(fact.target - 1));
}

double RuleFacts::deadline_left() const {
  const RequestFacts& request = sight_.request;
  const double passed =
      request.arrived == TimePoint{} ? 0.0 : seconds_between(request.arrived, sight_.fleet.now);
  const std::chrono::duration<double> usual = sight_.settings.server.limits.request_timeout;
  return std::min(sight_.work.finish_max, usual.count() - passed);
}

double RuleFacts::of_engine(Fact fact) const {
  const EngineStatus* const engine = sight_.fleet.local;
  if (engine == nullptr) return 0.0;
  switch (fact) {
    case Fact::queue_requests: return static_cast<double>(engine->waiting.size());
    case Fact::queue_tokens:
      if (unread_ < 0.0) unread_ = prompt_tokens_unread(*engine);
      return unread_;
    case Fact::running_requests: return static_cast<double>(engine->running.size());
    default: break;
  }
  if (engine->kv_tokens_total <= 0) return 0.0;
  return static_cast<double>(engine->kv_tokens_free) / engine->kv_tokens_total;
}

double RuleFacts::of_local(Fact fact) const {
  const Judged& local = sight_.local;
  const bool able = sight_.route.local && can_take(local.verdict);
  switch (fact) {
    case Fact::available: return able;
    case Fact::meets_sla: return able && local.verdict == Verdict::fits;
    case Fact::predicted_ttft: return able ? local.ttft : kInfinite;
    case Fact::predicted_finish: return able ? local.finish : kInfinite;
    default: return 0.0;  // Its work costs nothing more.
  }
}

double RuleFacts::of_provider(Fact fact, std::size_t provider) const {
  const config::ProviderTarget& target = sight_.settings.providers[provider];
  switch (fact) {
    case Fact::price_per_1k_input: return per_thousand(target.price.input_per_million);
    case Fact::price_per_1k_output: return per_thousand(target.price.output_per_million);
    case Fact::quality: return target.measured.quality;
    default: break;
  }
  const Seen& one = seen(provider);
  switch (fact) {
    case Fact::available: return can_take(one.verdict);
    case Fact::meets_sla: return one.verdict == Verdict::fits;
    case Fact::predicted_ttft: return can_take(one.verdict) ? one.ttft : kInfinite;
    case Fact::predicted_finish: return can_take(one.verdict) ? one.finish : kInfinite;
    case Fact::price: return one.price;
    case Fact::ttft_p50: return one.ttft_p50;
    case Fact::ttft_p99: return one.ttft_p99;
    case Fact::tokens_per_second: return one.tokens_per_second;
    default: return one.in_flight;
  }
}

const RuleFacts::Seen& RuleFacts::seen(std::size_t provider) const {
  if (provider >= kRemembered) return further_ = look_at(provider);
  const std::uint32_t bit = 1U << provider;
  if ((known_ & bit) == 0) seen_[provider] = look_at(provider);
  known_ |= bit;
  return seen_[provider];
}

RuleFacts::Seen RuleFacts::look_at(std::size_t provider) const {
  const config::ProviderTarget& target = sight_.settings.providers[provider];
  const ProviderFacts facts = facts_of(target, provider, sight_.fleet);
  const Judged judged = judge_provider(target, facts, sight_.work, sight_.fleet.now);
  const auto& offers = sight_.route.providers;
  const bool serves = std::any_of(offers.begin(), offers.end(),
                                  [&](const Offer& offer) { return offer.provider == provider; });
  const bool may_be_asked =
      serves && may_have_data(target, sight_.request_class, sight_.request.key);
  return {.verdict = may_be_asked ? judged.verdict : Verdict::incapable,
          .ttft = judged.ttft,
          .finish = judged.finish,
          .price = static_cast<double>(judged.expected_cost),
          .ttft_p50 = facts.ttft_p50,
          .ttft_p99 = facts.ttft_p99,
          .tokens_per_second = facts.tokens_per_second,
          .in_flight = facts.in_flight};
}

}  // namespace spillway::policy
