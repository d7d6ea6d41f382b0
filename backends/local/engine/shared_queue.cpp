#include "backends/local/engine/shared_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace spillway::local {

namespace {

StepModel mean_of(const StepModel& one, const StepModel& other, double share) {
  const auto mean = [share](double a, double b) { return a + share * (b - a); };
  return {mean(one.base, other.base), mean(one.per_sequence, other.per_sequence),
          mean(one.per_context_token, other.per_context_token),
          mean(one.per_prefill_token, other.per_prefill_token), one.steps_seen + other.steps_seen};
}

// `engine` in addition to `sum`, which has `count` already.
void add(EngineStatus& sum, const EngineStatus& engine, int count) {
  for (const SequenceStatus& sequence : engine.running) queue_up(sum.running, sequence);
  for (const SequenceStatus& sequence : engine.waiting) queue_up(sum.waiting, sequence);
  sum.sequences_max += engine.sequences_max;
  sum.kv_tokens_total += engine.kv_tokens_total;
  sum.kv_tokens_free += engine.kv_tokens_free;
  sum.step_elapsed = std::max(sum.step_elapsed, engine.step_elapsed);
  sum.step = mean_of(sum.step, engine.step, 1.0 / (count + 1));
}

}  // namespace

SequenceStatus WaitingPlace::prompt() const {
  const SequenceStatus& first = sequences.front();
  return {first.prefill_left + first.context_tokens, 0, 0, first.tokens_max, first.lane};
}

std::vector<SequenceStatus> WaitingPlace::begun_at(std::size_t engine) const {
  std::vector<SequenceStatus> begun = sequences;
  begun.front().prefill_left += begun.front().context_tokens - cached[engine];
  begun.front().context_tokens = cached[engine];
  return begun;
}

// Who follows the first finds what that has read.
void WaitingPlace::deal_to(std::size_t engine, Dealing& dealing) const {
  dealing.give(engine, prompt(), cached[engine]);
  for (std::size_t i = 1; i < sequences.size(); ++i)
    dealing.give(engine, prompt(), sequences[i].context_tokens);
}

void SharedQueue::add(WaitingPlace place) {
  counters_.accepted += place.sequences.size();
  auto behind = places_.end();
  while (behind != places_.begin() && std::prev(behind)->lane() > place.lane()) --behind;
  places_.insert(behind, std::move(place));
}

void SharedQueue::refuse(int sequences) {
  counters_.refused += static_cast<std::uint64_t>(sequences);
}

std::optional<WaitingPlace> SharedQueue::take(std::uint64_t id) {
  const auto found = std::find_if(places_.begin(), places_.end(),
                                  [id](const WaitingPlace& place) { return place.id == id; });
  if (found == places_.end()) return std::nullopt;
  std::optional<WaitingPlace> taken = std::move(*found);
  places_.erase(found);
  return taken;
}

std::optional<WaitingPlace> SharedQueue::leave(std::uint64_t id) {
  auto left = take(id);
  if (left) counters_.cancelled += left->sequences.size();
  return left;
}

void SharedQueue::fail() {
  for (const WaitingPlace& place : places_) counters_.failed += place.sequences.size();
  places_.clear();
}

EngineStatus sum_of(std::vector<EngineStatus> engines) {
  EngineStatus sum = engines.front();
  sum.ready = false;
  sum.running.clear();
  sum.waiting.clear();
  sum.sequences_max = sum.kv_tokens_total = sum.kv_tokens_free = 0;
  sum.step_elapsed = 0.0;
  int count = 0;
  for (const EngineStatus& engine : engines) {
    if (!engine.ready) continue;
    add(sum, engine, count++);
    sum.ready = true;
  }
  sum.replicas = std::move(engines);
  return sum;
}

void add_waiting(const WaitingPlaces& places, EngineStatus& sum) {
  for (const WaitingPlace& place : places) {
    for (const SequenceStatus& sequence : place.sequences) queue_up(sum.waiting, sequence);
  }
}

void deal_out(const WaitingPlaces& places, Dealing& dealing) {
  for (const WaitingPlace& place : places)
    place.deal_to(dealing.next(place.prompt(), place.cached), dealing);
}

int worth_of_cache(std::span<const int> cached, int prompt_tokens, const Dealing& dealing,
                   std::span<const EngineStatus> engines) {
  const SequenceStatus own{.prefill_left = prompt_tokens, .tokens_max = 1};
  const std::size_t engine = dealing.next(own, cached);
  const std::size_t shortest = dealing.next(own);
  const double per_token = engines[engine].step.per_prefill_token;
  if (engine == shortest || per_token <= 0.0) return cached[engine];
  const double saved = dealing.cost(shortest, own, 0) - dealing.cost(engine, own, cached[engine]);
  return std::clamp(static_cast<int>(saved / per_token), 0, cached[engine]);
}

}  // namespace spillway::local
