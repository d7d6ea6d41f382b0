#include "backends/local/engine/inbox.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

SequenceStatus status_of(const NewSequence& sequence) {
  const int left = static_cast<int>(sequence.prompt->size()) - sequence.cached_tokens;
  return {left, sequence.cached_tokens, 0, sequence.tokens_max, sequence.lane};
}

Error full_for_now() {
  // Two steps of a long prompt: by then the picture is another one.
  const auto soon = std::chrono::milliseconds(1'000);
  return {Errc::overloaded, "the local engine's waiting room is full", "", soon};
}

Error not_running() {
  return {Errc::backend_unavailable, "the local engine is not running", "", std::nullopt};
}

Result<void> Inbox::submit(std::vector<NewSequence> sequences) {
  std::lock_guard lock(mutex_);
  if (!status_.ready) return not_running();
  if (status_.is_full_for(static_cast<int>(sequences.size()))) {
    counters_.refused += sequences.size();
    tell();
    return full_for_now();
  }
  counters_.accepted += sequences.size();
  for (NewSequence& sequence : sequences) {
    queue_up(status_.waiting, status_of(sequence));
    arrivals_.push_back(std::move(sequence));
  }
  news_ = true;
  changed_.notify_one();
  tell();
  return {};
}

void Inbox::refuse(int sequences) {
  std::lock_guard lock(mutex_);
  counters_.refused += static_cast<std::uint64_t>(sequences);
  tell();
}

void Inbox::ring(SequenceId id) {
  std::lock_guard lock(mutex_);
  if (failed_) return;
  rings_.push_back({id, steps_begun_});
  news_ = true;
  changed_.notify_one();
}

void Inbox::close(Deadline drain_until) {
  std::lock_guard lock(mutex_);
  status_.ready = false;
  drain_until_ = drain_until_ ? std::min(*drain_until_, drain_until) : drain_until;
  news_ = true;
  changed_.notify_one();
}

EngineStatus Inbox::status() const {
  std::lock_guard lock(mutex_);
  EngineStatus copy = status_;
  if (step_began_) copy.step_elapsed = seconds_between(*step_began_, SteadyClock::now());
  return copy;
}

EngineCounters Inbox::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

Mail Inbox::take(std::optional<Deadline> wait_until) {
  std::unique_lock lock(mutex_);
  if (wait_until) changed_.wait_until(lock, *wait_until, [this] { return news_; });
  news_ = false;
  return {std::exchange(arrivals_, {}), std::exchange(rings_, {}), drain_until_};
}

void Inbox::publish(std::vector<SequenceStatus> running, std::vector<SequenceStatus> waiting,
                    int kv_tokens_free) {
  std::lock_guard lock(mutex_);
  for (const NewSequence& arrival : arrivals_) queue_up(waiting, status_of(arrival));
  status_.running = std::move(running);
  status_.waiting = std::move(waiting);
  status_.kv_tokens_free = kv_tokens_free;
}

void Inbox::begin_step(TimePoint starts) {
  std::lock_guard lock(mutex_);
  ++steps_begun_;
  step_began_ = starts;
  tell();
}

void Inbox::end_step(const StepModel& model, std::optional<TimePoint> next_began) {
  std::lock_guard lock(mutex_);
  step_began_ = next_began;
  status_.step = model;
  tell();
}

void Inbox::take_over(const SequenceStatus& sequence) {
  std::lock_guard lock(mutex_);
  queue_up(status_.waiting, sequence);
}

std::vector<NewSequence> Inbox::fail() {
  std::lock_guard lock(mutex_);
  failed_ = true;
  rings_.clear();
  status_.ready = false;
  status_.running.clear();
  status_.waiting.clear();
  tell();
  return std::exchange(arrivals_, {});
}

void Inbox::show() const {
  if (observer_ == nullptr) return;
  std::lock_guard lock(mutex_);
  tell();
  observer_->caught_up();
}

void Inbox::tell() const {
  if (observer_ != nullptr) observer_->changed(status_, step_began_, counters_);
}

}  // namespace spillway::local
