#include "gateway/policy/judge.h"

#include "backends/contract/dealing.h"
#include "config/residency.h"
#include "gateway/policy/price.h"
#include "gateway/policy/takes.h"
#include "gateway/policy/tracker.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace spillway::policy {
namespace {

// The length of an answer while nothing has been seen of any.
constexpr double kAnswerTokens = 256.0;

// Without a TTFT in the SLA, how far ahead the engine is simulated step by step; and with one, how
// many times its length, so that what is late by more is told as an estimate.
constexpr double kHorizonSeconds = 10.0;
constexpr double kHorizonTtfts = 1.25;

double seconds(const std::optional<config::Milliseconds>& limit) {
  return limit ? std::chrono::duration<double>(*limit).count() : kNoHorizon;
}

double share(double value, double limit) { return std::isfinite(limit) ? value / limit : 0.0; }

void compare(Judged& judged, const Work& work, double ttft_max) {
  judged.lateness =
      std::max({share(judged.ttft, work.ttft_max), share(judged.per_token, work.per_token_max),
                share(judged.finish, work.finish_max)});
  if (judged.finish > work.finish_max) judged.verdict = Verdict::misses_deadline;
  if (judged.per_token > work.per_token_max) judged.verdict = Verdict::misses_per_token;
  if (judged.ttft > ttft_max) judged.verdict = Verdict::misses_ttft;
}

Verdict obstacle(const EngineStatus* engine, const Work& work) {
  if (!writes(work.asks)) return Verdict::incapable;
  if (!engine || !engine->ready) return Verdict::not_ready;
  if (without(work.needs, engine->takes()) != Need::nothing) return Verdict::incapable;
  if (work.choices > engine->sequences_max + engine->waiting_max) return Verdict::incapable;
  // One token at least; an answer without a limit is as long as the context allows.
  const std::int64_t tokens =
      static_cast<std::int64_t>(work.prompt_to_fit) + work.completion_tokens_max.value_or(1);
  if (engine->context_max > 0 && tokens > engine->context_max) return Verdict::too_long;
  if (tokens > engine->kv_tokens_total) return Verdict::too_long;
  return engine->is_full_for(work.choices) ? Verdict::queue_full : Verdict::fits;
}

bool is_capable(const config::ProviderTarget& provider, const Work& work) {
  if (!serves(provider, work.asks)) return false;
  if (work.needs == Need::nothing) return true;
  return std::all_of(kNeeds.begin(), kNeeds.end(), [&](const NeedWords& words) {
    return !has(work.needs, words.need) || takes(provider, words, work.beyond);
  });
}

int places_for(const Work& work, const config::ProviderTarget& provider,
               const ProviderFacts& facts) {
  return work.yields ? places_for_waiting(provider, facts)
                     : provider.concurrency_max * facts.servers;
}

Verdict obstacle(const config::ProviderTarget& provider, const ProviderFacts& facts,
                 const Work& work, TimePoint now) {
  if (!is_capable(provider, work)) return Verdict::incapable;
  if (facts.refuses_account) return Verdict::account_refused;
  if (facts.permission == Permission::open) return Verdict::breaker_open;
  if (facts.limited_until && now < *facts.limited_until) return Verdict::rate_limited;
  if (facts.in_flight >= places_for(work, provider, facts)) return Verdict::busy;
  return Verdict::fits;
}

Usage expected_usage(const Work& work) {
  Usage usage;
  usage.prompt_tokens = work.prompt_tokens;
  usage.completion_tokens = static_cast<int>(std::lround(work.completion_tokens * work.choices));
  usage.searches = work.search_units;
  return usage;
}

// Prompts that will have come by the time its own is read: about as much as stands in line now with
// its own, if they keep coming as they have (Little's law). More than a step takes makes no
// difference.
int tokens_behind(const EngineStatus& engine, const Work& work) {
  if (engine.waiting.empty()) return 0;
  int tokens = work.prompt_tokens;
  for (const SequenceStatus& sequence : engine.waiting) {
    if (sequence.lane == work.lane) tokens += sequence.prefill_left;
    if (tokens >= engine.budget.tokens_max) break;
  }
  return tokens;
}

// Its further choices have nothing to read but the prompt's end, and decode beside it.
EngineStatus with_siblings(EngineStatus engine, const Work& work) {
  const SequenceStatus sibling{1, work.prompt_tokens, 0,
                               work.completion_tokens_max.value_or(kCompletionTokensAssumed),
                               work.lane};
  for (int i = 1; i < work.choices; ++i) queue_up(engine.waiting, sibling);
  return engine;
}

// A target of this machine is done with a prompt when it has read what is before it, and that.
void foresee(Judged& judged, const ProviderFacts& facts, const Work& work) {
  int tokens = work.prompt_tokens + facts.foreground_tokens;
  if (work.lane == Lane::background) tokens += facts.background_tokens;
  judged.finish = tokens / facts.tokens_read_per_second;
  judged.ttft = judged.ttft_typical = judged.ttft_p95 = judged.finish;
  judged.per_token = 0.0;
}

// What it costs there.
void reckon(Judged& judged, const config::Price& price, const Work& work) {
  const int prompt_tokens = work.prompt_tokens + judged.form_tokens;
  Usage usage = expected_usage(work);
  usage.prompt_tokens = prompt_tokens;
  usage.cached_tokens = judged.cached_tokens;
  judged.full_cost = cost_of(price, usage);
  usage.at_batch_rate = judged.at_batch_rate;
  judged.expected_cost = judged.at_batch_rate ? cost_of(price, usage) : judged.full_cost;
  judged.worst_case_cost = worst_case_cost(price, prompt_tokens,
                                           tokens_of_all(work.completion_tokens_max, work.choices));
  judged.worst_case_cost += work.search_units * price.per_search;
}

double horizon_of(const Work& work) {
  return std::isfinite(work.ttft_max) ? kHorizonTtfts * work.ttft_max : kHorizonSeconds;
}

void tighten(std::optional<config::Milliseconds>& limit,
             const std::optional<config::Milliseconds>& own) {
  if (own) limit = limit ? std::min(*limit, *own) : *own;
}

double expected_tokens(std::size_t request_class, const RequestFacts& request,
                       const FleetFacts& fleet) {
  const std::string_view key = request.key ? std::string_view(request.key->name) : "";
  double guess =
      fleet.answer_length.expected({request_class, request.prompt_tokens, key, request.model});
  if (guess <= 0.0) guess = kAnswerTokens;
  const double most = request.completion_tokens_max.value_or(kCompletionTokensAssumed);
  return std::max(1.0, std::min(request.completion_tokens_expected.value_or(guess), most));
}

}  // namespace

int places_for_waiting(const config::ProviderTarget& provider, const ProviderFacts& facts) {
  const int all = provider.concurrency_max * facts.servers;
  return all > 1 ? all - std::max(1, all / 4) : all;
}

config::Sla sla_of(const config::RequestClass& request_class, const RequestFacts& request) {
  config::Sla sla = request_class.sla;
  tighten(sla.ttft, request.ttft_max);
  tighten(sla.ttft, request.silence_max);
  tighten(sla.deadline, request.deadline);
  tighten(sla.deadline, request.client_timeout);
  return sla;
}

bool asks_for_less(const config::RequestClass& request_class, const RequestFacts& request) {
  constexpr std::chrono::seconds kUsual{10};
  const auto is_less = [](const auto& own, const auto& promised) {
    return own && (!promised || *own < *promised);
  };
  return is_less(request.ttft_max, request_class.sla.ttft) ||
         is_less(request.deadline, request_class.sla.deadline) ||
         request.client_timeout.value_or(kUsual) < kUsual ||
         request.silence_max.value_or(kUsual) < kUsual;
}

Lane lane_of(const config::RequestClass& request_class) {
  const bool waits = request_class.spill == config::Spill::cheapest_before_deadline;
  return waits ? Lane::background : Lane::foreground;
}

Work work_of(const config::Sla& sla, std::size_t request_class, const RequestFacts& request,
             const FleetFacts& fleet) {
  Work work;
  work.prompt_tokens = request.prompt_tokens;
  work.prompt_to_fit = request.prompt_to_fit();
  work.form_tokens = request.form_tokens;
  work.cached_tokens = request.cached_tokens;
  work.completion_tokens_max = request.completion_tokens_max;
  work.completion_tokens = expected_tokens(request_class, request, fleet);
  work.typical_tokens = fleet.answer_length.typical();
  work.remaining = fleet.answer_length.remaining();
  work.asks = request.asks;
  work.choices = request.choices;
  work.search_units = request.search_units;
  work.needs = request.needs;
  work.beyond = request.beyond;
  work.ttft_max = seconds(sla.ttft);
  work.per_token_max = seconds(sla.per_token);
  work.finish_max = seconds(sla.deadline);
  // What a request was held for is gone.
  if (request.arrived != TimePoint{})
    work.finish_max -= seconds_between(request.arrived, fleet.now);
  return work;
}

Judged judge_local(const FleetFacts& fleet, const Work& work, double headroom, Sight sight) {
  Judged judged;
  judged.verdict = obstacle(fleet.local, work);
  if (!can_take(judged.verdict)) return judged;
  // Of several engines the one that would be asked next is the whole way.
  std::optional<EngineStatus> one_of_several;
  if (!fleet.local->replicas.empty()) one_of_several = next_engine(*fleet.local);
  const EngineStatus& engine = one_of_several ? *one_of_several : *fleet.local;
  const Ask ask{std::max(1, work.prompt_tokens - work.cached_tokens),
                work.completion_tokens,
                work.typical_tokens,
                work.lane,
                work.remaining,
                tokens_behind(engine, work)};
  const double horizon = sight == Sight::to_the_end ? kNoHorizon : horizon_of(work);
  judged.prediction =
      work.choices == 1 ? predict(engine, ask, fleet.ttft_correction, horizon)
                        : predict(with_siblings(engine, work), ask, fleet.ttft_correction, horizon);
  judged.prediction->ttft_bound = judged.prediction->ttft * fleet.ttft_bound;
  judged.ttft = judged.ttft_typical = judged.prediction->ttft;
  judged.ttft_p95 = judged.prediction->ttft_bound;
  judged.per_token = judged.prediction->per_token;
  judged.finish = judged.prediction->finish;
  compare(judged, work, headroom * work.ttft_max);
  return judged;
}

bool costs_less(const config::ProviderTarget& provider, const ProviderFacts& facts,
                const Work& work, TimePoint now) {
  const bool has_tier = provider.price.batch_discount > 0.0 && provider.dialect != "anthropic";
  const bool is_full = facts.batch_tier_full_until && now < *facts.batch_tier_full_until;
  const bool is_well = facts.permission == Permission::closed;  // A probe is not to take its time.
  return work.at_batch_rate && work.asks == Endpoint::chat && has_tier && is_well && !is_full;
}

Judged judge_provider(const config::ProviderTarget& provider, const ProviderFacts& facts,
                      const Work& work, TimePoint now) {
  Judged judged;
  judged.ttft = facts.ttft_p90;
  judged.ttft_typical = facts.ttft_p50;
  judged.ttft_p95 = facts.ttft_p95;
  judged.in_time = facts.in_time.share(work.prompt_tokens);
  judged.per_token = facts.tokens_per_second > 0.0 ? 1.0 / facts.tokens_per_second : 0.0;
  judged.finish = judged.ttft + judged.per_token * (work.completion_tokens - 1.0);
  if (facts.tokens_read_per_second > 0.0) foresee(judged, facts, work);
  judged.form_tokens = reads_forms(provider) ? work.form_tokens : 0;
  judged.cached_tokens = static_cast<int>(facts.cached_share * work.prompt_tokens);
  judged.at_batch_rate = costs_less(provider, facts, work, now);
  if (work.search_units > 0) {
    reckon(judged, by_search_units(provider.price), work);
  } else {
    reckon(judged, provider.price, work);
  }
  judged.verdict = obstacle(provider, facts, work, now);
  if (!can_take(judged.verdict)) return judged;
  compare(judged, work, work.ttft_max);
  const bool rarely = std::isfinite(work.ttft_max) && judged.in_time < kInTimeLeast;
  if (judged.verdict == Verdict::fits && rarely) judged.verdict = Verdict::misses_ttft;
  return judged;
}

bool may_have_data(const config::ProviderTarget& provider,
                   const config::RequestClass& request_class, const config::Key* key) {
  if (provider.is_here()) return true;
  return config::lets_go_to(request_class.residency, provider.residency) &&
         (key == nullptr || config::lets_go_to(key->residency, provider.residency));
}

ProviderFacts facts_of(const config::ProviderTarget& provider, std::size_t at,
                       const FleetFacts& fleet) {
  const auto& known = fleet.providers;
  if (at < known.size() && known[at].name == provider.name) return known[at];
  const auto found = std::find_if(known.begin(), known.end(), [&](const ProviderFacts& facts) {
    return facts.name == provider.name;
  });
  if (found != known.end()) return *found;
  const Tracker catalogue(provider.measured, fleet.now);
  ProviderFacts facts;
  facts.name = provider.name;
  facts.ttft_p50 = catalogue.ttft_p50(fleet.now);
  facts.ttft_p90 = catalogue.ttft_p90(fleet.now);
  facts.ttft_p95 = catalogue.ttft_p95(fleet.now);
  facts.ttft_p99 = catalogue.ttft_p99(fleet.now);
  facts.tokens_per_second = catalogue.tokens_per_second();
  return facts;
}

}  // namespace spillway::policy
