#include "backends/local/sched/scheduler.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace spillway::local {

Scheduler::Scheduler(SchedulerLimits limits, BlockPool& pool) : limits_(limits), pool_(pool) {
  assert(limits_.step_tokens_max >= limits_.sequences_max);
}

void Scheduler::add(SequenceId sequence, int prompt_tokens) {
  assert(prompt_tokens >= 1 && fits(prompt_tokens));
  auto entry = std::make_unique<Sequence>();
  entry->id = sequence;
  entry->length = prompt_tokens;
  waiting_.push_back(entry.get());
  const bool added = sequences_.emplace(sequence, std::move(entry)).second;
  assert(added);
  (void)added;
}

std::vector<ScheduledSlice> Scheduler::plan() {
  std::vector<ScheduledSlice> plan;
  int budget = limits_.step_tokens_max;
  plan_decodes(plan, budget);
  plan_prompts(plan, budget);
  while (budget > 0 && admit_next()) plan_chunk(*running_.back(), plan, budget);
  return plan;
}

void Scheduler::commit(const std::vector<ScheduledSlice>& plan) {
  for (const ScheduledSlice& slice : plan) {
    Sequence& sequence = *sequences_.at(slice.sequence);
    sequence.computed += slice.tokens;
    if (slice.yields_token) ++sequence.length;
  }
}

void Scheduler::remove(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  Sequence* const sequence = found->second.get();
  pool_.release(sequence->blocks);
  std::erase(running_, sequence);
  std::erase(waiting_, sequence);
  sequences_.erase(found);
}

void Scheduler::pause(SequenceId sequence, bool paused) {
  sequences_.at(sequence)->paused = paused;
}

const std::vector<std::int32_t>& Scheduler::blocks(SequenceId sequence) const {
  return sequences_.at(sequence)->blocks;
}

std::vector<SequenceProgress> Scheduler::progress() const {
  std::vector<SequenceProgress> all;
  all.reserve(running_.size() + waiting_.size());
  for (const Sequence* sequence : running_) {
    all.push_back({sequence->id, sequence->length, sequence->computed, true});
  }
  for (const Sequence* sequence : waiting_) {
    all.push_back({sequence->id, sequence->length, sequence->computed, false});
  }
  return all;
}

void Scheduler::plan_decodes(std::vector<ScheduledSlice>& plan, int& budget) {
  // Preemption shortens running_ from its end, so the index stays good.
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.paused || !decodes(sequence)) continue;
    if (!grow_or_preempt(sequence)) return;
    plan.push_back({sequence.id, sequence.computed, 1, true});
    --budget;
  }
}

void Scheduler::plan_prompts(std::vector<ScheduledSlice>& plan, int& budget) {
  for (Sequence* sequence : running_) {
    if (sequence->paused || decodes(*sequence)) continue;
    plan_chunk(*sequence, plan, budget);
  }
}

void Scheduler::plan_chunk(const Sequence& sequence, std::vector<ScheduledSlice>& plan,
                           int& budget) {
  const int left = sequence.length - sequence.computed;
  const int tokens = std::min(left, budget);
  if (tokens == 0) return;
  plan.push_back({sequence.id, sequence.computed, tokens, tokens == left});
  budget -= tokens;
}

bool Scheduler::admit_next() {
  if (running() >= limits_.sequences_max) return false;
  const auto next = std::find_if(waiting_.begin(), waiting_.end(),
                                 [](const Sequence* sequence) { return !sequence->paused; });
  if (next == waiting_.end()) return false;
  Sequence* const sequence = *next;
  // One block in hand for each sequence that runs: else the newcomer would be preempted at once.
  if (pool_.blocks_for(sequence->length) + running() > pool_.blocks_free()) return false;
  const bool grown = pool_.grow(sequence->blocks, sequence->length);
  assert(grown);
  (void)grown;
  waiting_.erase(next);
  running_.push_back(sequence);
  return true;
}

bool Scheduler::grow_or_preempt(Sequence& sequence) {
  while (!pool_.grow(sequence.blocks, sequence.length)) {
    const bool itself = running_.back() == &sequence;
    preempt_youngest();
    if (itself) return false;
  }
  return true;
}

void Scheduler::preempt_youngest() {
  Sequence* const youngest = running_.back();
  running_.pop_back();
  pool_.release(youngest->blocks);
  youngest->computed = 0;
  waiting_.push_front(youngest);
  ++preemptions_;
}

}  // namespace spillway::local
