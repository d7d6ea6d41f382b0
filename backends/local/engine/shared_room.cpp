#include "backends/local/engine/shared_room.h"

#include "backends/local/engine/engine.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace spillway::local {

namespace {

// Whose prompt is to be found where, so that its cost there can be told.
SequenceStatus whole_prompt(const NewSequence& sequence) {
  return {static_cast<int>(sequence.prompt->size()), 0, 0, sequence.tokens_max, sequence.lane};
}

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

// Those that are ready, as one.
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

}  // namespace

void SharedRoom::open(std::vector<const Engine*> engines) {
  std::lock_guard lock(mutex_);
  for (const Engine* engine : engines) inboxes_.push_back(engine->inbox());
  engines_ = std::move(engines);
}

void SharedRoom::close(Deadline drain_until) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& inbox : inboxes_) inbox->close(drain_until);
}

Result<void> SharedRoom::submit(std::vector<NewSequence> sequences) {
  const auto count = sequences.size();
  std::vector<Place> places = places_of(std::move(sequences));
  std::lock_guard lock(mutex_);
  const EngineStatus now = whole();
  if (!now.ready) return not_running();
  if (now.is_full_for(static_cast<int>(count))) {
    counters_.refused += count;
    return full_for_now();
  }
  counters_.accepted += count;
  const Lane lane = places.front().first().lane;
  const auto behind = std::find_if(queue_.begin(), queue_.end(),
                                   [&](const Place& place) { return place.first().lane > lane; });
  queue_.insert(behind, std::make_move_iterator(places.begin()),
                std::make_move_iterator(places.end()));
  wake_all();
  return {};
}

void SharedRoom::refuse(int sequences) {
  std::lock_guard lock(mutex_);
  counters_.refused += static_cast<std::uint64_t>(sequences);
}

// Of who has not begun only one thing counts: that its consumer has left. That may also have made
// room after what others of the same request have said.
void SharedRoom::ring(SequenceId id) {
  Place left;  // Goes when the lock is gone.
  std::lock_guard lock(mutex_);
  const auto place = std::find_if(queue_.begin(), queue_.end(), [id](const Place& one) {
    return id >= one.first().id && id <= one.sequences.back().id;
  });
  if (place == queue_.end()) {
    for (const auto& inbox : inboxes_) inbox->ring(id);
    return;
  }
  if (!place->first().outlet->abandoned()) return;
  left = std::move(*place);
  queue_.erase(place);
  counters_.cancelled += left.sequences.size();
  wake_all();
}

EngineStatus SharedRoom::status() const {
  std::lock_guard lock(mutex_);
  return whole();
}

EngineCounters SharedRoom::counters() const {
  std::lock_guard lock(mutex_);
  EngineCounters sum = counters_;
  for (const auto& inbox : inboxes_) sum += inbox->counters();
  return sum;
}

int SharedRoom::cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const {
  const std::vector<int> cached = cached_in_each(owner, prompt);
  if (std::all_of(cached.begin(), cached.end(), [](int tokens) { return tokens == 0; })) return 0;
  std::lock_guard lock(mutex_);
  const std::vector<EngineStatus> engines = statuses();
  Dealing dealing(engines);
  for (const Place& place : queue_) {
    const SequenceStatus waiting = whole_prompt(place.first());
    const std::size_t engine = dealing.next(waiting, place.cached);
    deal(dealing, engine, place);
  }
  const SequenceStatus own{.prefill_left = static_cast<int>(prompt.size()), .tokens_max = 1};
  const std::size_t engine = dealing.next(own, cached);
  const std::size_t shortest = dealing.next(own);
  const double per_token = engines[engine].step.per_prefill_token;
  if (engine == shortest || per_token <= 0.0) return cached[engine];
  const double saved = dealing.cost(shortest, own, 0) - dealing.cost(engine, own, cached[engine]);
  return std::clamp(static_cast<int>(saved / per_token), 0, cached[engine]);
}

std::vector<NewSequence> SharedRoom::next(std::size_t engine, Lane lane,
                                          const SequenceSource::Fits& fits) {
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return {};
  Dealing dealing(statuses());
  for (auto place = queue_.begin(); place != queue_.end(); ++place) {
    if (place->first().lane > lane) break;
    const SequenceStatus waiting = whole_prompt(place->first());
    const auto cost_at = [&](std::size_t which) {
      return dealing.cost(which, waiting, place->cached[which]);
    };
    // What Dealing says of this engine's room is what the engine saw last.
    const auto taker = dealing.taker(waiting, place->cached);
    const bool comes_here = !taker || *taker == engine || cost_at(engine) <= cost_at(*taker);
    if (comes_here && place->first().lane == lane && fits(place->first()))
      return take(place, engine);
    if (!taker || *taker == engine) break;
    deal(dealing, *taker, *place);
  }
  return {};
}

// Who still waits is dealt out, so that those who sleep and are to begin with somebody wake.
void SharedRoom::planned(std::size_t engine) {
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return;
  const std::vector<EngineStatus> engines = statuses();
  Dealing dealing(engines);
  for (const Place& place : queue_) {
    const SequenceStatus waiting = whole_prompt(place.first());
    const auto taker = dealing.taker(waiting, place.cached);
    if (!taker) break;
    deal(dealing, *taker, place);
    if (*taker != engine && engines[*taker].running.empty()) inboxes_[*taker]->ring(0);
  }
}

void SharedRoom::ended(std::size_t engine, const Error& why) {
  Queue left;
  bool unasked = false;
  {
    std::lock_guard lock(mutex_);
    unasked = !closed_;
    const bool was_last = ++ended_ == engines_.size();
    if (was_last) left.swap(queue_);
    for (const Place& place : left) counters_.failed += place.sequences.size();
    wake_all();
  }
  if (unasked && on_failure_) on_failure_(engine, why);
  for (const Place& place : left) {
    for (const NewSequence& sequence : place.sequences) sequence.outlet->fail(why);
  }
}

bool SharedRoom::is_empty() const {
  std::lock_guard lock(mutex_);
  return queue_.empty();
}

std::vector<SharedRoom::Place> SharedRoom::places_of(std::vector<NewSequence> sequences) const {
  std::vector<Place> places;
  for (NewSequence& sequence : sequences) {
    if (places.empty() || places.back().first().prompt != sequence.prompt)
      places.push_back({{}, cached_in_each(sequence.owner, *sequence.prompt)});
    places.back().sequences.push_back(std::move(sequence));
  }
  return places;
}

// Asked before the room's mutex is taken: it takes a prompt's length of time.
std::vector<int> SharedRoom::cached_in_each(std::string_view owner,
                                            std::span<const std::int32_t> prompt) const {
  std::vector<int> cached;
  for (const Engine* engine : engines_) cached.push_back(engine->cached_tokens(owner, prompt));
  return cached;
}

std::vector<EngineStatus> SharedRoom::statuses() const {
  std::vector<EngineStatus> engines;
  for (const auto& inbox : inboxes_) engines.push_back(inbox->status());
  return engines;
}

EngineStatus SharedRoom::whole() const {
  EngineStatus whole = sum_of(statuses());
  whole.ready = whole.ready && !closed_;
  whole.waiting_max = waiting_max_;
  for (const Place& place : queue_) {
    for (const NewSequence& one : place.sequences) queue_up(whole.waiting, status_of(one));
  }
  return whole;
}

std::vector<NewSequence> SharedRoom::take(Queue::iterator place, std::size_t engine) {
  std::vector<NewSequence> sequences = std::move(place->sequences);
  sequences.front().cached_tokens = place->cached[engine];
  queue_.erase(place);
  for (const NewSequence& sequence : sequences) inboxes_[engine]->take_over(sequence);
  if (closed_ && queue_.empty()) wake_all();  // Who has nothing more to do may end.
  return sequences;
}

// Who follows the first finds what that has read.
void SharedRoom::deal(Dealing& dealing, std::size_t engine, const Place& place) {
  const SequenceStatus prompt = whole_prompt(place.first());
  dealing.give(engine, prompt, place.cached[engine]);
  for (std::size_t i = 1; i < place.sequences.size(); ++i)
    dealing.give(engine, prompt, place.sequences[i].cached_tokens);
}

void SharedRoom::wake_all() const {
  for (const auto& inbox : inboxes_) inbox->ring(0);
}

}  // namespace spillway::local
