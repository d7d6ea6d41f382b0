// How the engine's steps begin and finish, and what they are for those who wait and those who
// predict.
#include "backends/local/engine/engine.h"
#include "backends/local/sample/logprobs.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

// While a step is under way, the next one is planned when its end is near: late enough for those
// who still come, early enough that the device does not wait should the step be shorter.
void Engine::await_planning_time() const {
  constexpr double kEarly = 0.2;  // Of the step's expected time.
  constexpr std::chrono::microseconds kNapMin(200);
  if (steps_.empty()) return;
  const double late_by = seconds_expected(steps_.front()) * (1.0 - kEarly) - planning_seconds_;
  const TimePoint planning = steps_.front().began + from_seconds(late_by);
  if (planning - SteadyClock::now() > kNapMin) std::this_thread::sleep_until(planning);
}

// Begins the planned step and finishes those before it, and itself too if nothing may overlap it.
Result<void> Engine::advance(std::vector<ScheduledSlice> plan) {
  std::size_t stay = 0;
  if (!plan.empty()) {
    const auto next = begin_step(std::move(plan));
    if (!next) return next.error();
    if (*next == NextStep::at_once) stay = 1;
  }
  while (steps_.size() > stay) {
    if (auto finished = finish_step(); !finished) return finished;
  }
  return {};
}

Slice Engine::slice_of(const ScheduledSlice& scheduled) const {
  static constexpr std::int32_t kUnderWay[] = {kTokenUnderWay};
  const Sequence& sequence = *sequences_.at(scheduled.sequence);
  const auto known = sequence.tokens();
  const auto first = static_cast<std::size_t>(scheduled.first_position);
  const auto count = static_cast<std::size_t>(scheduled.tokens);
  Slice slice;
  slice.sequence = scheduled.sequence;
  slice.tokens = first < known.size() ? known.subspan(first, count) : std::span(kUnderWay);
  slice.first_position = scheduled.first_position;
  slice.blocks = scheduler_.blocks(scheduled.sequence);
  slice.logits_rows = sequence.is_scored_from(scheduled.first_position) ? scheduled.tokens
                      : scheduled.yields_token                          ? 1
                                                                        : 0;
  if (sequence.is_scored_from(scheduled.first_position)) {
    const std::size_t prompt = static_cast<std::size_t>(sequence.prompt_tokens());
    slice.behind = known.first(prompt).subspan(first + 1, std::min(count, prompt - first - 1));
  }
  slice.sampler = &sequence.sampler();
  return slice;
}

Result<NextStep> Engine::begin_step(std::vector<ScheduledSlice> plan) {
  slices_.clear();
  for (const ScheduledSlice& scheduled : plan) slices_.push_back(slice_of(scheduled));
  Step step{std::move(plan), {}, SteadyClock::now(), {}};
  for (const Slice& slice : slices_) step.rows.push_back(slice.logits_rows);
  step.work = work_of(step.plan);
  if (!steps_.empty()) {
    const Step& before = steps_.back();
    step.began = std::max(step.began, before.began + from_seconds(seconds_expected(before)));
  }
  ++steps_begun_;
  inbox_->begin_step(step.began);
  auto next = executor_->begin(slices_);
  if (!next) return next;
  scheduler_.begin(step.plan);
  steps_.push_back(std::move(step));
  planning_seconds_ = std::max(0.9 * planning_seconds_, seconds_between(woke_, SteadyClock::now()));
  return next;
}

// A step lasts until its tokens are out; or, if the next runs already, until the device is done
// with it.
Result<void> Engine::finish_step() {
  auto result = executor_->finish();
  if (!result) return result.error();
  TimePoint ended = SteadyClock::now();
  const Step step = std::move(steps_.front());
  steps_.pop_front();
  scheduler_.finish();
  hand_out(step, *result);
  publish(steps_.empty() ? nullptr : &steps_.front());
  if (steps_.empty()) {
    ended = SteadyClock::now();
  } else {
    steps_.front().began = ended;
  }
  const double seconds = seconds_between(step.began, ended);
  fit_.observe(step.work.sequences, step.work.context_tokens, step.work.prefill_tokens, seconds);
  inbox_->count([&](EngineCounters& counters) {
    ++counters.steps;
    counters.prompt_tokens += static_cast<std::uint64_t>(step.work.prefill_tokens);
    counters.preemptions = scheduler_.preemptions();
    counters.step_seconds.observe(seconds);
    counters.batch_size.observe(static_cast<double>(step.plan.size()));
  });
  inbox_->end_step(fit_.model(), steps_.empty() ? std::nullopt : std::optional(ended));
  return {};
}

double Engine::seconds_expected(const Step& step) const {
  return fit_.model().seconds(step.work.sequences, step.work.context_tokens,
                              step.work.prefill_tokens);
}

Engine::Work Engine::work_of(const std::vector<ScheduledSlice>& plan) const {
  Work work;
  for (const ScheduledSlice& slice : plan) {
    const int prompt = sequences_.at(slice.sequence)->prompt_tokens();
    if (slice.tokens > 1 || slice.first_position < prompt) {
      work.prefill_tokens += slice.tokens;
      continue;
    }
    work.sequences += 1;
    work.context_tokens += slice.first_position + 1;
  }
  return work;
}

// What a row says of a token, by who has it: the executor, or its logits.
ScoredToken Engine::scored(const StepResult& result, std::size_t row, std::int32_t token,
                           int likeliest) {
  if (!result.scored.empty()) return result.scored[row];
  const auto vocabulary = static_cast<std::size_t>(executor_->shape().vocabulary);
  return score(result.logits.subspan(row * vocabulary, vocabulary), token, likeliest, scratch_);
}

// The row of each position, from `first_row` on, tells the token behind it.
void Engine::score_prompt(Sequence& sequence, const ScheduledSlice& slice, const StepResult& result,
                          std::size_t first_row) {
  const int likeliest = likeliest_of_prompt(sequence.sampler().sampling()).value_or(0);
  std::vector<ScoredToken> told;
  if (slice.first_position == 0) told.push_back({.token = sequence.tokens()[0]});
  for (int i = 0; i < slice.tokens; ++i) {
    const int next = slice.first_position + i + 1;
    if (next >= sequence.prompt_tokens()) break;
    told.push_back(scored(result, first_row + static_cast<std::size_t>(i),
                          sequence.tokens()[static_cast<std::size_t>(next)], likeliest));
  }
  sequence.tell_prompt(slice.first_position, std::move(told));
}

void Engine::hand_out(const Step& step, const StepResult& result) {
  const auto vocabulary = static_cast<std::size_t>(executor_->shape().vocabulary);
  std::vector<std::pair<SequenceId, std::int32_t>> held;  // To a form, and what they said.
  std::size_t row = 0;
  std::uint64_t generated = 0;
  std::uint64_t finished = 0;
  std::uint64_t prompts = 0;
  std::uint64_t reused = 0;
  for (std::size_t i = 0; i < step.plan.size(); ++i) {
    const ScheduledSlice& slice = step.plan[i];
    const std::size_t first = row;
    row += static_cast<std::size_t>(step.rows[i]);
    if (row == first) continue;
    const auto found = sequences_.find(slice.sequence);
    if (found == sequences_.end()) continue;  // It was over when the step had begun.
    Sequence& sequence = *found->second;
    if (sequence.is_scored_from(slice.first_position)) score_prompt(sequence, slice, result, first);
    if (!slice.yields_token) continue;
    const std::size_t at = row - 1;
    const auto logits = [&] { return result.logits.subspan(at * vocabulary, vocabulary); };
    const std::int32_t token =
        result.sampled.empty() ? sequence.sampler().choose(logits(), scratch_) : result.sampled[at];
    ++generated;
    if (limits_.prefix_cache && sequence.generated() == 0) {
      sequence.reused = scheduler_.reused(slice.sequence);
      prompts += static_cast<std::uint64_t>(sequence.prompt_tokens());
      reused += static_cast<std::uint64_t>(sequence.reused);
    }
    if (sequence.generated() == 0) let_follow(slice.sequence);
    const auto& likeliest = sequence.sampler().sampling().logprobs;
    std::optional<ScoredToken> told;
    if (likeliest) told = scored(result, at, token, *likeliest);
    if (sequence.accept(token, std::move(told))) {
      ++finished;
      end(slice.sequence);
      continue;
    }
    if (sequence.form()) held.emplace_back(slice.sequence, token);
    if (sequence.outlet_full()) {
      sequence.parked_since = SteadyClock::now();
      scheduler_.pause(slice.sequence, true);
    }
  }
  follow_forms(held);
  inbox_->count([&](EngineCounters& counters) {
    counters.generated_tokens += generated;
    counters.finished += finished;
    counters.prefix_queries += prompts;
    counters.prefix_hits += reused;
  });
}

}  // namespace spillway::local
