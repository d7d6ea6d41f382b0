#include "gateway/policy/held_work.h"

#include "backends/contract/dealing.h"
#include "gateway/policy/judge.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace spillway::policy {
namespace {

using std::chrono::seconds;

// Chosen on two traces, azure1h and the servegen day; tests/bench/routing.py prints these and
// others.
constexpr double kReckonEvery = 1.0;  // Seconds between two looks at the whole.
constexpr double kDueBefore = 20.0;   // So long before its deadline a request leaves at last,
constexpr double kCloudTimes = 1.5;   // …or this many times what a provider takes for it,
constexpr double kDueShare = 0.5;     // …but not before this share of its time is over.
constexpr double kAskAgain = 0.25;    // Seconds until who found everybody full is due again…
constexpr double kAskEach = 0.002;    // …or this for each of those, where they are many.
constexpr double kMemory = 20.0;      // Time constant of the foreground's share, seconds.
constexpr double kFillLeast = 0.22;   // Fill at no pressure…
constexpr double kFillSpan = 0.55;    // …and what a pressure of 1 adds.
constexpr double kSlotsLeast = 0.25;  // The same for places in the batch.
constexpr double kSlotsSpan = 0.85;
constexpr double kDenseFrom = 0.4;     // Planned pressure from which the densest go first…
constexpr double kBarelyFrom = 0.7;    // …but while there is barely time for all, from here
constexpr double kBarelyTo = 1.2;      // …to here.
constexpr double kPlanMemory = 300.0;  // Time constant of the supply that is planned with, seconds.
constexpr double kKvFill = 0.8;        // Of the KV cache, before more is pulled in.
constexpr double kSendAtMost = 0.9;    // Of the providers' rates, for the surplus.
constexpr double kSendStart = 0.2;     // Sending begins when it takes this share of the time left,
constexpr double kSendWithin = 0.8;    // …and is to be done within this share.
constexpr double kSupplyLeast = 0.02;  // The foreground never leaves less than this, in plans.
constexpr double kWorthNews = 0.02;    // Of one that leaves, in what a GPU second is worth.
constexpr double kNano = 1e-9;

double as_seconds(config::Milliseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// Demand is kept by deadline in slots of so many seconds.
constexpr std::int64_t kDemandSlot = 5;

std::int64_t slot_of(TimePoint when) {
  return std::chrono::floor<seconds>(when.time_since_epoch()).count() / kDemandSlot;
}

double seconds_until_slot(std::int64_t slot, TimePoint now) {
  return seconds_between(now, TimePoint(seconds(slot * kDemandSlot)));
}

double rate_of(const config::ProviderTarget& provider, const ProviderFacts& facts, double tokens) {
  const double pace = facts.tokens_per_second > 0.0 ? tokens / facts.tokens_per_second : 0.0;
  const int free = std::max(0, places_for_waiting(provider, facts) - facts.in_flight);
  const double by_places = free / std::max(0.01, facts.ttft_p50 + pace);
  if (provider.rate_limit.requests_per_minute <= 0) return by_places;
  return std::min(by_places, provider.rate_limit.requests_per_minute / 60.0);
}

constexpr double kNearlyOver = 0.015;  // Seconds; fitted on azure1h and the servegen day.

// What the engine has to do when whoever is let in now is seen: behind the step under way.
struct NextStep {
  int decoding = 0;
  double context = 0.0;                 // Of those.
  std::int64_t foreground_prompts = 0;  // Tokens to read…
  std::int64_t background_prompts = 0;  // …of each lane.

  void see(const SequenceStatus& sequence, int read) {
    const int left = sequence.prefill_left - read;
    if (left > 0) {
      (sequence.lane == Lane::foreground ? foreground_prompts : background_prompts) += left;
    } else {
      ++decoding;
      context += sequence.context_tokens + read;
    }
  }
};

// Prompt tokens of the step under way, once it is nearly over: until then others may come who are
// read first.
int budget_under_way(const EngineStatus& engine) {
  if (engine.step_elapsed == 0.0) return 0;
  NextStep decodes;
  for (const SequenceStatus& sequence : engine.running)
    if (sequence.prefill_left == 0) decodes.see(sequence, 0);
  const int budget = engine.budget.prompt_tokens(engine.step, decodes.decoding, decodes.context);
  const double step = engine.step.seconds(decodes.decoding, decodes.context, budget);
  return step - engine.step_elapsed < kNearlyOver ? budget : 0;
}

NextStep next_step(const EngineStatus& engine) {
  NextStep next;
  int budget = budget_under_way(engine);
  int tokens = static_cast<int>(
      std::count_if(engine.running.begin(), engine.running.end(),
                    [](const SequenceStatus& sequence) { return sequence.prefill_left == 0; }));
  bool reads_foreground = false;  // Then it reads of the background what takes no time.
  for (const SequenceStatus& sequence : engine.running) {
    const bool foreground = sequence.lane == Lane::foreground;
    if (!foreground && reads_foreground)
      budget = std::min(budget, engine.budget.left_in_tile(tokens));
    const int read = std::min(sequence.prefill_left, budget);
    budget -= read;
    tokens += read;
    reads_foreground = reads_foreground || (foreground && read > 0);
    next.see(sequence, read);
  }
  for (const SequenceStatus& sequence : engine.waiting) next.see(sequence, 0);
  return next;
}

}  // namespace

CloudRoom cloud_room(const config::Settings& settings, const FleetFacts& fleet) {
  CloudRoom room;
  for (std::size_t i = 0; i < settings.providers.size(); ++i) {
    const config::ProviderTarget& provider = settings.providers[i];
    const ProviderFacts facts = facts_of(provider, i, fleet);
    if (facts.permission != Permission::closed) continue;
    const double requests = rate_of(provider, facts, fleet.answer_length.typical());
    const double tokens = provider.rate_limit.tokens_per_minute / 60.0;
    room.requests_per_second += requests;
    room.tokens_per_second += tokens > 0.0 ? tokens : requests * 1e6;
  }
  return room;
}

double gpu_seconds(const EngineStatus& engine, int prompt_tokens, double completion_tokens) {
  const StepModel& step = engine.step;
  const double context = prompt_tokens + completion_tokens / 2.0;
  const double per_token = step.per_sequence + step.per_context_token * context;
  return prompt_tokens * step.per_prefill_token + completion_tokens * per_token;
}

void HeldWork::adopt(const config::Settings& settings) {
  per_token_limit_ = 0.0;
  for (const config::RequestClass& one : settings.policy.classes) {
    const bool in_foreground =
        one.spill == config::Spill::when_sla_at_risk || one.spill == config::Spill::never;
    if (!in_foreground || !one.sla.per_token) continue;
    const double limit = as_seconds(*one.sla.per_token);
    per_token_limit_ = per_token_limit_ > 0.0 ? std::min(per_token_limit_, limit) : limit;
  }
}

TimePoint latest_start(const Wait& wait, TimePoint now) {
  const double time = seconds_between(now, wait.deadline);
  const double ahead =
      std::max(std::min(kDueBefore, kDueShare * time), kCloudTimes * wait.cloud_seconds);
  return wait.deadline - from_seconds(std::clamp(ahead, 0.0, std::max(0.0, time)));
}

void HeldWork::hold(std::uint64_t id, const Wait& wait, const EngineStatus& engine, TimePoint now) {
  Held held;
  held.due = wait.due;
  held.tenant = wait.tenant;
  held.again = wait.again;
  if (wait.again) {
    const double pause = std::max(kAskAgain, kAskEach * static_cast<double>(++again_));
    held.due = std::max(held.due, now + from_seconds(pause));
  }
  held.gpu_seconds =
      std::max(kNano, gpu_seconds(engine, wait.prompt_tokens, wait.completion_tokens));
  held.tokens = wait.prompt_tokens + wait.completion_tokens;
  held.density = static_cast<double>(wait.cloud_cost) / held.gpu_seconds;
  by_due_.emplace(held.due, id);
  by_density_.emplace(held.density, id);
  if (!wait.not_here) share_in(id, held);
  Slot& slot = demand_[slot_of(held.due)];
  slot.seconds += held.gpu_seconds;
  ++slot.count;
  total_seconds_ += held.gpu_seconds;
  total_tokens_ += held.tokens;
  held_.emplace(id, held);
}

void HeldWork::drop(std::uint64_t id) {
  const auto found = held_.find(id);
  if (found != held_.end()) release(found, Turn::local);
}

bool HeldWork::reckoning_due(TimePoint now) const {
  return !held_.empty() && (!reckoned_ || seconds_between(*reckoned_, now) >= kReckonEvery);
}

std::optional<Release> HeldWork::next(const EngineStatus& engine, TimePoint now) {
  if (held_.empty()) return std::nullopt;
  const auto [due, first] = *by_due_.begin();
  if (due <= now) return release(held_.find(first), Turn::cloud);
  if (send_credit_ >= 1.0) {
    send_credit_ -= 1.0;
    return release(held_.find(by_density_.begin()->second), Turn::cloud);
  }
  if (shares_.empty() || !has_room(engine)) return std::nullopt;
  const Entry best = best_for_engine();
  shares_.find(best->second.tenant)->second.taken += best->second.gpu_seconds;
  return release(best, Turn::local);
}

void HeldWork::foreground(double gpu_seconds, TimePoint now) {
  const double passed = std::max(0.0, seconds_between(foreground_at_, now));
  foreground_seconds_ = foreground_seconds_ * std::exp(-passed / kMemory) + gpu_seconds;
  foreground_at_ = now;
}

double HeldWork::foreground_share(TimePoint now) const {
  const double passed = std::max(0.0, seconds_between(foreground_at_, now));
  return foreground_seconds_ * std::exp(-passed / kMemory) / kMemory;
}

double HeldWork::supply(const EngineStatus& engine, TimePoint now) const {
  const double engines = engine.engines();
  double supply = engine.ready ? engines - foreground_share(now) : 0.0;
  if (supply > 0.0 && per_token_limit_ > 0.0)
    supply -= engines * engine.step.base / per_token_limit_;
  return std::max(kSupplyLeast, supply);
}

void HeldWork::reckon(const EngineStatus& engine, const CloudRoom& cloud, TimePoint now) {
  const double elapsed = reckoned_ ? seconds_between(*reckoned_, now) : 0.0;
  reckoned_ = now;
  const double supply = this->supply(engine, now);

  planned_supply_ += (1.0 - std::exp(-elapsed / kPlanMemory)) * (supply - planned_supply_);

  pressure_ = planned_pressure_ = 0.0;
  double surplus = 0.0, surplus_left = 0.0, demand = 0.0;
  for (const auto& [slot, held] : demand_) {
    demand += held.seconds;
    const double left = std::max(1.0, seconds_until_slot(slot, now));
    pressure_ = std::max(pressure_, demand / (supply * left));
    planned_pressure_ = std::max(planned_pressure_, demand / (planned_supply_ * left));
    if (demand - supply * left <= surplus) continue;
    surplus = demand - supply * left;
    surplus_left = left;
  }
  fill_ = kFillLeast + kFillSpan * std::min(1.0, pressure_);
  places_ = kSlotsLeast + kSlotsSpan * std::min(1.0, pressure_);
  ration_surplus(surplus, surplus_left, cloud, elapsed);
}

void HeldWork::ration_surplus(double surplus_seconds, double time_left, const CloudRoom& cloud,
                              double elapsed) {
  const double count = static_cast<double>(held_.size());
  const double requests = surplus_seconds / (total_seconds_ / count);
  const double tokens = requests * total_tokens_ / count;
  const double by_requests = requests / std::max(kNano, cloud.requests_per_second);
  const double by_tokens = tokens / std::max(kNano, cloud.tokens_per_second);
  const double takes = std::max(by_requests, by_tokens);  // At the providers' full rates.
  if (surplus_seconds <= 0.0 || takes <= kSendStart * time_left) {
    send_credit_ = 0.0;
    return;
  }
  const double rate =
      std::min(requests / (kSendWithin * time_left), kSendAtMost * requests / takes);
  send_credit_ = std::min(requests, send_credit_ + rate * elapsed);
}

// Somebody in the foreground whose prompt is not read yet, or a prompt's worth of the background's
// own, would be held up.
bool HeldWork::has_room(const EngineStatus& engine) const {
  if (!engine.ready) return false;
  if (!engine.replicas.empty()) return has_room(next_engine(engine));
  if (engine.running.empty() && engine.waiting.empty()) return true;  // However slow its steps are.
  const NextStep next = next_step(engine);
  if (next.foreground_prompts > 0) return false;
  const double step = engine.step.seconds(next.decoding, next.context, 0.0);
  if (per_token_limit_ > 0.0 && step > fill_ * per_token_limit_) return false;
  const int budget = engine.budget.prompt_tokens(engine.step, next.decoding, next.context);
  if (next.background_prompts >= budget) return false;
  const double places = std::ceil(places_ * engine.sequences_max);
  if (static_cast<double>(engine.running.size() + engine.waiting.size()) >= places) return false;
  return engine.kv_tokens_total - engine.kv_tokens_free < kKvFill * engine.kv_tokens_total;
}

void HeldWork::share_in(std::uint64_t id, const Held& held) {
  auto known = shares_.find(held.tenant);
  if (known == shares_.end()) {
    double least = 0.0;
    for (const auto& [tenant, share] : shares_)
      least = least == 0.0 ? share.taken : std::min(least, share.taken);
    known = shares_.try_emplace(held.tenant).first;
    known->second.taken = least;
  }
  known->second.by_due.emplace(held.due, id);
  known->second.by_density.emplace(held.density, id);
}

void HeldWork::share_out(std::uint64_t id, const Held& held) {
  const auto known = shares_.find(held.tenant);
  if (known == shares_.end()) return;
  known->second.by_due.erase({held.due, id});
  known->second.by_density.erase({held.density, id});
  if (known->second.by_due.empty()) shares_.erase(known);
}

// Where a provider would ask the same for all, or none is there to ask, their deadlines decide.
HeldWork::Entry HeldWork::best_for_engine() {
  const auto earlier = [](const auto& one, const auto& other) {
    return *one.second.by_due.begin() < *other.second.by_due.begin();
  };
  const auto cheaper = [](const auto& one, const auto& other) {
    return *one.second.by_density.rbegin() < *other.second.by_density.rbegin();
  };
  const auto had_less = [](const auto& one, const auto& other) {
    return one.second.taken < other.second.taken;
  };
  const bool barely = planned_pressure_ > kBarelyFrom && planned_pressure_ < kBarelyTo;
  const bool differ = by_density_.begin()->first < by_density_.rbegin()->first;
  const bool by_worth = planned_pressure_ > kDenseFrom && !barely && differ;
  auto share = by_worth ? std::max_element(shares_.begin(), shares_.end(), cheaper)
                        : std::min_element(shares_.begin(), shares_.end(), earlier);
  if (planned_pressure_ >= kBarelyTo)
    share = std::min_element(shares_.begin(), shares_.end(), had_less);
  const Share& best = share->second;
  return held_.find(by_worth ? best.by_density.rbegin()->second : best.by_due.begin()->second);
}

Release HeldWork::release(Entry entry, Turn turn) {
  const auto& [id, held] = *entry;
  const Release released{id, turn};
  if (turn == Turn::cloud && !held.again) worth_ += kWorthNews * (held.density - worth_);
  if (held.again) --again_;
  by_due_.erase({held.due, id});
  by_density_.erase({held.density, id});
  share_out(id, held);
  const auto slot = demand_.find(slot_of(held.due));
  slot->second.seconds -= held.gpu_seconds;
  if (--slot->second.count == 0) demand_.erase(slot);
  total_seconds_ -= held.gpu_seconds;
  total_tokens_ -= held.tokens;
  held_.erase(entry);
  return released;
}

}  // namespace spillway::policy
