#include "backends/local/sched/scheduler.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace spillway::local {

namespace {

// Where a lane ends in a row that is ordered by lanes.
template <class Row>
auto end_of(Lane lane, Row& row) {
  return std::find_if(row.begin(), row.end(),
                      [lane](const auto* sequence) { return sequence->lane > lane; });
}

template <class Row>
auto begin_of(Lane lane, Row& row) {
  return std::find_if(row.begin(), row.end(),
                      [lane](const auto* sequence) { return sequence->lane >= lane; });
}

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits, BlockPool& pool) : limits_(limits), pool_(pool) {
  assert(limits_.step.tokens_max >= limits_.sequences_max);
}

void Scheduler::add(SequenceId sequence, int prompt_tokens, Lane lane, int tokens_max,
                    const SequenceText* text) {
  assert(prompt_tokens >= 1 && fits(prompt_tokens));
  auto entry = std::make_unique<Sequence>();
  entry->id = sequence;
  entry->lane = lane;
  entry->prompt = prompt_tokens;
  entry->tokens_max = tokens_max;
  entry->length = prompt_tokens;
  entry->text = text;
  if (text) entry->findable = pool_.prefixes().cached_tokens(text->owner(), text->tokens());
  waiting_.insert(end_of(lane, waiting_), entry.get());
  const bool added = sequences_.emplace(sequence, std::move(entry)).second;
  assert(added);
  (void)added;
}

void Scheduler::compute_all(SequenceId id, int step_tokens_max) {
  Sequence& sequence = *sequences_.at(id);
  sequence.step_max = step_tokens_max;
  sequence.reuses = false;
  sequence.findable = 0;
}

std::vector<ScheduledSlice> Scheduler::plan(const StepModel& pace, const More& more) {
  std::vector<ScheduledSlice> plan;
  const double context_tokens = plan_decodes(plan);
  const std::size_t decodes = plan.size();
  PromptBudget budget{
      limits_.step.prompt_tokens(pace, static_cast<int>(plan.size()), context_tokens)};
  for (const Lane lane : {Lane::foreground, Lane::background}) {
    const int before = budget.tokens;
    plan_prompts(lane, plan, budget);
    while (budget.tokens > 0) {
      const Sequence* const admitted = admit_next(lane, more);
      if (admitted == nullptr) break;
      plan_chunk(*admitted, plan, budget);
    }
    const int read = before - budget.tokens;
    if (read > 0) {  // Who waits for this lane's first tokens waits for nothing else.
      const int step = static_cast<int>(decodes) + read;
      budget.tokens = std::min(budget.tokens, limits_.step.left_in_tile(step));
    }
  }
  if (plan.size() == decodes) plan_drafts(plan, budget.tokens);
  return plan;
}

void Scheduler::begin(const std::vector<ScheduledSlice>& plan) {
  ++steps_begun_;
  for (const ScheduledSlice& slice : plan) {
    Sequence& sequence = *sequences_.at(slice.sequence);
    sequence.computed += slice.tokens - slice.drafts;
    sequence.drafts = 0;
    sequence.last_step = steps_begun_;
    if (slice.yields_token) ++sequence.length;
    remember(sequence);
  }
}

// Steps run in the order in which they begin: what this one writes is there for the next.
void Scheduler::remember(Sequence& sequence) {
  if (sequence.text == nullptr) return;
  const auto known = sequence.text->tokens();
  const auto there = std::min(known.size(), static_cast<std::size_t>(sequence.computed));
  pool_.remember(sequence.text->owner(), known.first(there), sequence.blocks, sequence.prefix);
}

void Scheduler::finish() {
  assert(steps_finished_ < steps_begun_);
  ++steps_finished_;
  std::erase_if(retired_, [this](Retired& retired) {
    if (retired.last_step > steps_finished_) return false;
    pool_.release(retired.blocks);
    return true;
  });
}

void Scheduler::draft(SequenceId id, int tokens) {
  Sequence& sequence = *sequences_.at(id);
  assert(!under_way(sequence));
  sequence.drafts = tokens;
}

void Scheduler::confirm_draft(SequenceId id) {
  Sequence& sequence = *sequences_.at(id);
  assert(!under_way(sequence));
  ++sequence.computed;
  ++sequence.length;
}

void Scheduler::remove(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  Sequence* const sequence = found->second.get();
  remember(*sequence);
  give_back(*sequence);
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
    all.push_back({sequence->id, sequence->length, sequence->computed, true, sequence->lane});
  }
  for (const Sequence* sequence : waiting_) {
    all.push_back({sequence->id, sequence->length, sequence->findable, false, sequence->lane});
  }
  return all;
}

// The context that the planned decodes look at, in sum.
double Scheduler::plan_decodes(std::vector<ScheduledSlice>& plan) {
  double context_tokens = 0.0;
  // Preemption shortens running_ from its end, so the index stays good.
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.paused || complete(sequence) || !decodes(sequence)) continue;
    if (!grow_or_preempt(sequence)) break;
    plan.push_back({sequence.id, sequence.computed, 1, true});
    context_tokens += sequence.length;
  }
  return context_tokens;
}

void Scheduler::plan_prompts(Lane lane, std::vector<ScheduledSlice>& plan, PromptBudget& budget) {
  for (Sequence* sequence : running_) {
    if (sequence->lane != lane || sequence->paused || decodes(*sequence)) continue;
    plan_chunk(*sequence, plan, budget);
  }
}

void Scheduler::plan_chunk(const Sequence& sequence, std::vector<ScheduledSlice>& plan,
                           PromptBudget& budget) {
  const int left = sequence.length - sequence.computed;
  const bool is_limited = sequence.step_max != kNoLimit;
  const int room = is_limited ? sequence.step_max - budget.limited : kNoLimit;
  const int tokens = std::min({left, budget.tokens, room});
  if (tokens == 0) return;
  plan.push_back({sequence.id, sequence.computed, tokens, tokens == left});
  budget.tokens -= tokens;
  if (is_limited) budget.limited += tokens;
}

// Only free blocks are taken for them: nobody is preempted for a guess.
void Scheduler::plan_drafts(std::vector<ScheduledSlice>& plan, int budget) {
  for (ScheduledSlice& slice : plan) {
    Sequence& sequence = *sequences_.at(slice.sequence);
    const int left = sequence.tokens_max - (sequence.length - sequence.prompt) - 1;
    int drafts = std::min({sequence.drafts, left, budget});
    if (!pool_.grow(sequence.blocks, sequence.length + drafts)) {
      const int held = static_cast<int>(sequence.blocks.size()) * pool_.block_tokens();
      drafts = std::min(drafts, held - sequence.length);
    }
    slice.tokens += drafts;
    slice.drafts = drafts;
    budget -= drafts;
  }
}

// The next of the lane gets a place in the batch; null if it finds none, or if somebody of a lane
// before it still waits.
Scheduler::Sequence* Scheduler::admit_next(Lane lane, const More& more) {
  if (running() >= limits_.sequences_max) return nullptr;
  const auto first = [this] {
    return std::find_if(waiting_.begin(), waiting_.end(),
                        [](const Sequence* sequence) { return !sequence->paused; });
  };
  auto next = first();
  const bool is_wanted_here = next != waiting_.end() && (*next)->lane <= lane;
  if (!is_wanted_here && more && more(lane)) next = first();
  if (next == waiting_.end() || (*next)->lane != lane) return nullptr;
  Sequence* const sequence = *next;
  if (!take_blocks(*sequence)) return nullptr;
  waiting_.erase(next);
  running_.insert(end_of(lane, running_), sequence);
  return sequence;
}

bool Scheduler::has_room(std::string_view owner, std::span<const std::int32_t> prompt) const {
  const int wanted =
      pool_.blocks_for(static_cast<int>(prompt.size())) - pool_.shared(owner, prompt);
  return running() < limits_.sequences_max && wanted + running() <= pool_.blocks_free();
}

// Those that hold its beginning already, and empty ones for the rest; or none.
bool Scheduler::take_blocks(Sequence& sequence) {
  sequence.prefix = {};
  if (sequence.text && sequence.reuses)
    sequence.prefix = pool_.reuse(sequence.text->owner(), sequence.text->tokens(), sequence.blocks);
  const int found = sequence.prefix.blocks;
  sequence.findable = found * pool_.block_tokens();
  // One block in hand for each sequence that runs: else the newcomer would be preempted at once.
  if (pool_.blocks_for(sequence.length) - found + running() > pool_.blocks_free()) {
    pool_.release(sequence.blocks);
    return false;
  }
  assert(!under_way(sequence));  // Whoever was just evicted left no block free.
  const bool grown = pool_.grow(sequence.blocks, sequence.length);
  assert(grown);
  (void)grown;
  sequence.computed = sequence.findable;
  if (!std::exchange(sequence.admitted_before, true)) sequence.reused = sequence.computed;
  return true;
}

bool Scheduler::grow_or_preempt(Sequence& sequence) {
  while (!pool_.grow(sequence.blocks, sequence.length)) {
    if (!retired_.empty()) return false;  // Some come with the end of a step under way.
    const bool itself = running_.back() == &sequence;
    preempt_last();
    if (itself) return false;
  }
  return true;
}

void Scheduler::preempt_last() {
  Sequence* const last = running_.back();
  running_.pop_back();
  give_back(*last);
  last->computed = 0;
  waiting_.insert(begin_of(last->lane, waiting_), last);
  ++preemptions_;
}

void Scheduler::give_back(Sequence& sequence) {
  if (!under_way(sequence)) {
    pool_.release(sequence.blocks);
  } else {
    retired_.push_back({sequence.last_step, std::move(sequence.blocks)});
    sequence.blocks.clear();
  }
}

}  // namespace spillway::local
