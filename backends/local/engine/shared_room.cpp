#include "backends/local/engine/shared_room.h"

#include "backends/local/engine/engine.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

namespace {

// Those of a prompt each, in order.
std::vector<std::vector<NewSequence>> by_prompt(std::vector<NewSequence> sequences) {
  std::vector<std::vector<NewSequence>> prompts;
  for (NewSequence& sequence : sequences) {
    if (prompts.empty() || prompts.back().front().prompt != sequence.prompt) prompts.emplace_back();
    prompts.back().push_back(std::move(sequence));
  }
  return prompts;
}

}  // namespace

void SharedRoom::open(std::vector<const Engine*> engines) {
  std::lock_guard lock(mutex_);
  for (const Engine* engine : engines) inboxes_.push_back(engine->inbox());
  engines_ = std::move(engines);
}

void SharedRoom::nudge() {
  std::lock_guard lock(mutex_);
  wake_all();
}

void SharedRoom::close(Deadline drain_until) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& inbox : inboxes_) inbox->close(drain_until);
}

Result<void> SharedRoom::submit(std::vector<NewSequence> sequences) {
  const int count = static_cast<int>(sequences.size());
  std::vector<Together> arrivals = by_prompt(std::move(sequences));
  std::vector<WaitingPlace> places;
  for (const Together& together : arrivals) places.push_back(place_of(together));
  std::lock_guard lock(mutex_);
  const EngineStatus now = whole();
  if (!now.ready) return not_running();
  if (now.is_full_for(count)) {
    queue_.refuse(count);
    if (observer_ != nullptr) observer_->refused(count);
    return full_for_now();
  }
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    if (observer_ != nullptr) observer_->came(places[i]);
    waiting_.emplace(places[i].id, std::move(arrivals[i]));
    queue_.add(std::move(places[i]));
  }
  wake_all();
  return {};
}

void SharedRoom::refuse(int sequences) {
  std::lock_guard lock(mutex_);
  queue_.refuse(sequences);
  if (observer_ != nullptr) observer_->refused(sequences);
}

// Of who has not begun only one thing counts: that its consumer has left. That may also have made
// room after what others of the same request have said.
void SharedRoom::ring(SequenceId id) {
  Together left;  // Goes when the lock is gone.
  std::lock_guard lock(mutex_);
  const auto& places = queue_.places();
  const auto found = std::find_if(places.begin(), places.end(), [id](const WaitingPlace& place) {
    return id >= place.id && id - place.id < place.sequences.size();
  });
  if (found == places.end()) {
    for (const auto& inbox : inboxes_) inbox->ring(id);
    return;
  }
  const SequenceId place = found->id;
  if (!waiting_.at(place).front().outlet->abandoned()) return;
  left = std::move(waiting_.extract(place).mapped());
  queue_.leave(place);
  if (observer_ != nullptr) observer_->left(place);
  wake_all();
}

EngineStatus SharedRoom::status() const {
  std::lock_guard lock(mutex_);
  return whole();
}

EngineCounters SharedRoom::counters() const {
  std::lock_guard lock(mutex_);
  EngineCounters sum = queue_.counters();
  for (const auto& inbox : inboxes_) sum += inbox->counters();
  return sum;
}

int SharedRoom::cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const {
  const std::vector<int> cached = cached_in_each(owner, prompt);
  if (std::all_of(cached.begin(), cached.end(), [](int tokens) { return tokens == 0; })) return 0;
  std::lock_guard lock(mutex_);
  const std::vector<EngineStatus> engines = statuses();
  Dealing dealing(engines);
  deal_out(queue_.places(), dealing);
  return worth_of_cache(cached, static_cast<int>(prompt.size()), dealing, engines);
}

std::vector<NewSequence> SharedRoom::next(std::size_t engine, Lane lane,
                                          const SequenceSource::Fits& fits) {
  std::lock_guard lock(mutex_);
  if (queue_.places().empty()) return {};
  Dealing dealing(statuses());
  for (const WaitingPlace& place : queue_.places()) {
    if (place.lane() > lane) break;
    const SequenceStatus prompt = place.prompt();
    const auto cost_at = [&](std::size_t which) {
      return dealing.cost(which, prompt, place.cached[which]);
    };
    // What Dealing says of this engine's room is what the engine saw last.
    const auto taker = dealing.taker(prompt, place.cached);
    const bool comes_here = !taker || *taker == engine || cost_at(engine) <= cost_at(*taker);
    if (comes_here && place.lane() == lane && fits(waiting_.at(place.id).front()))
      return take(place.id, engine);
    if (!taker || *taker == engine) break;
    place.deal_to(*taker, dealing);
  }
  return {};
}

// Who still waits is dealt out, so that those who sleep and are to begin with somebody wake.
void SharedRoom::planned(std::size_t engine) {
  std::lock_guard lock(mutex_);
  if (queue_.places().empty()) return;
  const std::vector<EngineStatus> engines = statuses();
  Dealing dealing(engines);
  for (const WaitingPlace& place : queue_.places()) {
    const auto taker = dealing.taker(place.prompt(), place.cached);
    if (!taker) break;
    place.deal_to(*taker, dealing);
    if (*taker != engine && engines[*taker].running.empty()) inboxes_[*taker]->ring(0);
  }
}

void SharedRoom::ended(std::size_t engine, const Error& why) {
  std::unordered_map<SequenceId, Together> left;
  bool unasked = false;
  {
    std::lock_guard lock(mutex_);
    unasked = !closed_;
    const bool was_last = ++ended_ == engines_.size();
    if (was_last) {
      left.swap(waiting_);
      queue_.fail();
    }
    wake_all();
  }
  if (unasked && on_failure_) on_failure_(engine, why);
  for (const auto& [id, together] : left) {
    for (const NewSequence& sequence : together) sequence.outlet->fail(why);
  }
}

bool SharedRoom::is_empty() const {
  std::lock_guard lock(mutex_);
  return queue_.places().empty();
}

WaitingPlace SharedRoom::place_of(const Together& sequences) const {
  const NewSequence& first = sequences.front();
  WaitingPlace place{first.id, {}, cached_in_each(first.owner, *first.prompt)};
  for (const NewSequence& sequence : sequences) place.sequences.push_back(status_of(sequence));
  return place;
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
  add_waiting(queue_.places(), whole);
  return whole;
}

SharedRoom::Together SharedRoom::take(SequenceId place, std::size_t engine) {
  const std::optional<WaitingPlace> taken = queue_.take(place);
  Together sequences = std::move(waiting_.extract(place).mapped());
  sequences.front().cached_tokens = taken->cached[engine];
  for (const SequenceStatus& sequence : taken->begun_at(engine))
    inboxes_[engine]->take_over(sequence);
  if (observer_ != nullptr) observer_->taken(place, engine);
  if (closed_ && queue_.places().empty()) wake_all();  // Who has nothing more to do may end.
  return sequences;
}

void SharedRoom::wake_all() const {
  for (const auto& inbox : inboxes_) inbox->ring(0);
}

}  // namespace spillway::local
