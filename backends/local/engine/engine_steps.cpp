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
  slice.tokens =
      first < known.size() ? sequence.drafted_tokens().subspan(first, count) : std::span(kUnderWay);
  slice.first_position = scheduled.first_position;
  slice.blocks = scheduler_.blocks(scheduled.sequence);
  slice.logits_rows = sequence.is_scored_from(scheduled.first_position) ? scheduled.tokens
                      : scheduled.yields_token                          ? 1 + scheduled.drafts
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
  Step step{std::move(plan), {}, SteadyClock::now(), {}, {}};
  for (const Slice& slice : slices_) step.rows.push_back(slice.logits_rows);
  divide(step);
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
  share_out(step);
  const EngineCounters told = hand_out(step, *result);
  publish(steps_.empty() ? nullptr : &steps_.front());
  if (steps_.empty()) {
    ended = SteadyClock::now();
  } else {
    steps_.front().began = ended;
  }
  const double seconds = seconds_between(step.began, ended);
  learn(step.work, told, seconds);
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

// To who predicts, a step whose drafts were right was as good as several.
void Engine::learn(const Work& work, const EngineCounters& told, double seconds) {
  const bool drafted = told.drafts > 0 && work.sequences > 0;
  const double steps = drafted ? static_cast<double>(told.generated_tokens) / work.sequences : 1.0;
  fit_.observe(work.sequences, work.context_tokens, work.prefill_tokens,
               seconds / std::max(1.0, steps));
  if (work.prefill_tokens > 0) return;
  draft_fit_.observe(work.sequences, work.context_tokens, static_cast<double>(told.drafts),
                     seconds);
}

double Engine::seconds_expected(const Step& step) const {
  return fit_.model().seconds(step.work.sequences, step.work.context_tokens,
                              step.work.prefill_tokens);
}

Engine::Work& Engine::Work::operator+=(const Work& more) {
  sequences += more.sequences;
  context_tokens += more.context_tokens;
  prefill_tokens += more.prefill_tokens;
  return *this;
}

Engine::Work Engine::work_of(const ScheduledSlice& slice) const {
  const int prompt = sequences_.at(slice.sequence)->prompt_tokens();
  const bool reads = slice.tokens - slice.drafts > 1 || slice.first_position < prompt;
  if (reads) return {.prefill_tokens = static_cast<double>(slice.tokens)};
  return {.sequences = 1, .context_tokens = slice.first_position + 1.0};
}

// What a step takes in any case is everybody's alike; the rest is his whose work takes it.
void Engine::divide(Step& step) const {
  const StepModel& model = fit_.model();
  const double each = model.base / static_cast<double>(step.plan.size());
  double whole = 0;
  for (const ScheduledSlice& slice : step.plan) {
    const Work work = work_of(slice);
    const double own = model.seconds(work.sequences, work.context_tokens, work.prefill_tokens);
    step.work += work;
    step.shares.push_back(std::max(0.0, each + own - model.base));
    whole += step.shares.back();
  }
  const double alike = 1.0 / static_cast<double>(step.plan.size());
  for (double& share : step.shares) share = whole > 0 ? share / whole : alike;
}

// Of the time until the executor was done with it. Who is over by now has nobody to be told; who
// reads on is told at once, for its client may leave before the first word.
void Engine::share_out(const Step& step) {
  using Nanoseconds = std::chrono::duration<double, std::nano>;
  const Nanoseconds took = SteadyClock::now() - step.began;
  for (std::size_t i = 0; i < step.plan.size(); ++i) {
    const auto found = sequences_.find(step.plan[i].sequence);
    if (found == sequences_.end()) continue;
    found->second->took(floor<std::chrono::nanoseconds>(took * step.shares[i]));
    if (!step.plan[i].yields_token) found->second->tell_time();
  }
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

EngineCounters Engine::hand_out(const Step& step, const StepResult& result) {
  std::vector<std::pair<SequenceId, std::int32_t>> held;  // To a form, and what they said.
  EngineCounters told;
  const double cost = draft_cost(step.work);
  std::size_t row = 0;
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
    if (limits_.prefix_cache && sequence.generated() == 0) {
      sequence.reused = scheduler_.reused(slice.sequence);
      told.prefix_queries += static_cast<std::uint64_t>(sequence.prompt_tokens());
      told.prefix_hits += static_cast<std::uint64_t>(sequence.reused);
    }
    if (sequence.generated() == 0) let_follow(slice.sequence);
    const std::size_t decides = row - 1 - static_cast<std::size_t>(slice.drafts);
    if (take_tokens(sequence, slice, result, decides, told)) {
      ++told.finished;
      end(slice.sequence);
      continue;
    }
    if (sequence.form()) held.emplace_back(slice.sequence, sequence.tokens().back());
    if (steps_.empty()) scheduler_.draft(slice.sequence, sequence.draft(cost));
    if (sequence.outlet_full()) {
      sequence.parked_since = SteadyClock::now();
      scheduler_.pause(slice.sequence, true);
    }
  }
  follow_forms(held);
  inbox_->count([&](EngineCounters& counters) { counters += told; });
  return told;
}

// The token that `row` decides, and those behind it as long as they were drafted so: each is drawn
// when all before it are known. True if the answer is over.
bool Engine::take_tokens(Sequence& sequence, const ScheduledSlice& slice, const StepResult& result,
                         std::size_t row, EngineCounters& told) {
  const auto vocabulary = static_cast<std::size_t>(executor_->shape().vocabulary);
  const auto& likeliest = sequence.sampler().sampling().logprobs;
  told.drafts += static_cast<std::uint64_t>(slice.drafts);
  for (int left = slice.drafts;; --left, ++row) {
    const auto logits = [&] { return result.logits.subspan(row * vocabulary, vocabulary); };
    const std::int32_t token = result.sampled.empty()
                                   ? sequence.sampler().choose(logits(), scratch_)
                                   : result.sampled[row];
    const bool is_drafted = left > 0 && sequence.is_drafted(token);
    std::optional<ScoredToken> scores;
    if (likeliest) scores = scored(result, row, token, *likeliest);
    ++told.generated_tokens;
    told.drafts_right += is_drafted ? 1 : 0;
    if (sequence.accept(token, std::move(scores))) return true;
    if (!is_drafted) return false;
    scheduler_.confirm_draft(slice.sequence);
  }
}

// Of a row more in a step like this one: the part of what a token takes now. A step that something
// else held up must not make it look so dear that nothing is guessed any more, nor free.
double Engine::draft_cost(const Work& work) const {
  constexpr double kLeast = 0.1;
  constexpr double kMost = 0.5;
  const double sequences = std::max(1.0, work.sequences);
  const double seconds = fit_.model().seconds(sequences, work.context_tokens, 0);
  const double each = draft_fit_.model().per_prefill_token;
  return seconds > 0 ? std::clamp(each * sequences / seconds, kLeast, kMost) : kMost;
}

}  // namespace spillway::local
