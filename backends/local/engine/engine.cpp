#include "backends/local/engine/engine.h"

#include "backends/local/engine/calibration.h"

#include <algorithm>
#include <pthread.h>
#include <random>
#include <utility>

namespace spillway::local {

namespace {

constexpr std::chrono::hours kIdle(1);  // Wakes up now and then for no reason; harmless.

int usable_context(const EngineLimits& limits, const ExecutorShape& shape) {
  const int memory = shape.kv_blocks * kBlockTokens;
  const int model = std::min(shape.context_max, memory);
  return limits.context_max > 0 ? std::min(limits.context_max, model) : model;
}

EngineStatus initial_status(const EngineLimits& limits, const ExecutorShape& shape,
                            const StepModel& prior) {
  EngineStatus status;
  status.ready = true;
  status.sequences_max = limits.sequences_max;
  status.budget = limits.step;
  status.waiting_max = limits.waiting_max;
  status.kv_tokens_total = shape.kv_blocks * kBlockTokens;
  status.kv_tokens_free = status.kv_tokens_total;
  status.context_max = usable_context(limits, shape);
  status.step = prior;
  return status;
}

EngineLimits consistent(EngineLimits limits) {
  limits.sequences_max = std::max(limits.sequences_max, 1);
  limits.step.tokens_max = std::max(limits.step.tokens_max, limits.sequences_max);
  return limits;
}

Error stopped() {
  return {Errc::backend_unavailable, "the local engine was stopped", "", std::nullopt};
}

Error broken(const Error& cause) {
  return {Errc::backend_unavailable, "the local engine failed: " + cause.message, "", std::nullopt};
}

Error too_slow() {
  return {Errc::slow_client, "the client reads more slowly than allowed", "", std::nullopt};
}

}  // namespace

Engine::Engine(EngineLimits limits, StepModel prior, const TextCodec& codec,
               std::unique_ptr<Executor> executor)
    : limits_(consistent(limits)),
      codec_(codec),
      executor_(std::move(executor)),
      context_max_(usable_context(limits_, executor_->shape())),
      inbox_(std::make_shared<Inbox>(initial_status(limits_, executor_->shape(), prior))),
      pool_(executor_->shape().kv_blocks, kBlockTokens),
      scheduler_({limits_.sequences_max, limits_.step}, pool_),
      fit_(prior),
      seed_(std::random_device{}()),
      thread_([this] { run(); }) {
  calibrated_.get_future().wait();
}

Engine::~Engine() { stop(SteadyClock::now()); }

Result<std::shared_ptr<Bridge>> Engine::submit(Ask ask, boost::asio::any_io_executor consumer) {
  NewSequence sequence;
  sequence.id = next_id_.fetch_add(1, std::memory_order_relaxed);
  sequence.prompt = std::move(ask.prompt);
  sequence.sampling = std::move(ask.sampling);
  sequence.tokens_max = ask.tokens_max;
  sequence.lane = ask.lane;
  auto ring = [inbox = inbox_, id = sequence.id] { inbox->ring(id); };
  sequence.bridge = std::make_shared<Bridge>(std::move(consumer), limits_.bridge_capacity, ring);
  auto bridge = sequence.bridge;
  auto submitted = inbox_->submit(std::move(sequence));
  if (!submitted) return submitted.error();
  return bridge;
}

void Engine::stop(Deadline drain_until) {
  inbox_->close(drain_until);
  std::lock_guard lock(stopping_);
  if (thread_.joinable()) thread_.join();
}

void Engine::run() {
  pthread_setname_np(pthread_self(), "engine");
  Result<void> calibrated;
  if (limits_.calibrate) {
    calibrated = calibrate(*executor_, limits_.sequences_max, limits_.step.tokens_max, fit_);
    inbox_->end_step(fit_.model());
  }
  calibrated_.set_value();
  if (!calibrated) return fail_all(broken(calibrated.error()));
  serve();
}

void Engine::serve() {
  std::optional<Deadline> wait_until;
  while (true) {
    await_planning_time();
    Mail mail = inbox_->take(wait_until);
    woke_ = SteadyClock::now();
    admit(std::move(mail.arrivals));
    heed(mail.rings);
    drop_slow_clients();
    if (mail.drain_until && (sequences_.empty() || SteadyClock::now() >= *mail.drain_until)) {
      return fail_all(stopped());
    }

    auto plan = scheduler_.plan(fit_.model());
    publish(plan.empty() && !steps_.empty() ? &steps_.front() : nullptr);
    wait_until.reset();
    if (plan.empty() && steps_.empty()) {
      wait_until = next_wake(mail.drain_until);
      continue;
    }
    if (auto ran = advance(std::move(plan)); !ran) return fail_all(broken(ran.error()));
  }
}

void Engine::admit(std::vector<NewSequence> arrivals) {
  for (NewSequence& arrival : arrivals) {
    const SequenceId id = arrival.id;
    auto sequence = std::make_unique<Sequence>(std::move(arrival), codec_, seed_ + id);
    scheduler_.add(id, sequence->prompt_tokens(), sequence->lane(), sequence->tokens_max());
    sequences_.emplace(id, std::move(sequence));
  }
}

void Engine::heed(const std::vector<Ring>& rings) {
  for (const Ring& ring : rings) {
    const auto found = sequences_.find(ring.id);
    if (found == sequences_.end()) continue;
    Sequence& sequence = *found->second;
    if (sequence.abandoned()) {
      const std::uint64_t steps = steps_begun_ - ring.step;
      end(ring.id);
      inbox_->count([steps](EngineCounters& counters) {
        ++counters.cancelled;
        counters.cancel_steps_max = std::max(counters.cancel_steps_max, steps);
      });
    } else if (sequence.parked_since && !sequence.bridge_full()) {
      sequence.parked_since.reset();
      scheduler_.pause(ring.id, false);
    }
  }
}

void Engine::drop_slow_clients() {
  const TimePoint too_long_ago = SteadyClock::now() - limits_.slow_client;
  std::vector<SequenceId> slow;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->parked_since && *sequence->parked_since <= too_long_ago) slow.push_back(id);
  }
  for (const SequenceId id : slow) {
    sequences_.at(id)->fail(too_slow());
    end(id);
    inbox_->count([](EngineCounters& counters) { ++counters.failed; });
  }
}

Deadline Engine::next_wake(std::optional<Deadline> drain_until) const {
  Deadline wake = SteadyClock::now() + kIdle;
  if (drain_until) wake = std::min(wake, *drain_until);
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->parked_since)
      wake = std::min(wake, *sequence->parked_since + limits_.slow_client);
  }
  return wake;
}

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
  slice.logits_rows = scheduled.yields_token ? 1 : 0;
  slice.sampler = &sequence.sampler();
  return slice;
}

Result<NextStep> Engine::begin_step(std::vector<ScheduledSlice> plan) {
  slices_.clear();
  for (const ScheduledSlice& scheduled : plan) slices_.push_back(slice_of(scheduled));
  Step step{std::move(plan), {}, SteadyClock::now()};
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
  hand_out(step.plan, *result);
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

void Engine::hand_out(const std::vector<ScheduledSlice>& plan, const StepResult& result) {
  const auto vocabulary = static_cast<std::size_t>(executor_->shape().vocabulary);
  std::size_t row = 0;
  std::uint64_t generated = 0;
  std::uint64_t finished = 0;
  for (const ScheduledSlice& slice : plan) {
    if (!slice.yields_token) continue;
    const std::size_t at = row++;
    const auto found = sequences_.find(slice.sequence);
    if (found == sequences_.end()) continue;  // It was over when the step had begun.
    Sequence& sequence = *found->second;
    const std::int32_t token =
        result.sampled.empty() ? sequence.sampler().choose(
                                     result.logits.subspan(at * vocabulary, vocabulary), scratch_)
                               : result.sampled[at];
    ++generated;
    if (sequence.accept(token)) {
      ++finished;
      end(slice.sequence);
    } else if (sequence.bridge_full()) {
      sequence.parked_since = SteadyClock::now();
      scheduler_.pause(slice.sequence, true);
    }
  }
  inbox_->count([&](EngineCounters& counters) {
    counters.generated_tokens += generated;
    counters.finished += finished;
  });
}

void Engine::end(SequenceId id) {
  scheduler_.remove(id);
  sequences_.erase(id);
}

void Engine::fail_all(const Error& error) {
  const std::vector<NewSequence> arrivals = inbox_->fail();
  for (const NewSequence& arrival : arrivals) arrival.bridge->fail(error);
  for (const auto& [id, sequence] : sequences_) sequence->fail(error);
  const std::uint64_t failed = arrivals.size() + sequences_.size();
  inbox_->count([failed](EngineCounters& counters) { counters.failed += failed; });
  while (!sequences_.empty()) end(sequences_.begin()->first);
  steps_.clear();
}

// What there is before the next step begins; or, if one is given, before that one, which is under
// way, began.
void Engine::publish(const Step* under_way) {
  std::unordered_map<SequenceId, const ScheduledSlice*> begun;
  if (under_way != nullptr) {
    for (const ScheduledSlice& slice : under_way->plan) begun.emplace(slice.sequence, &slice);
  }
  std::vector<SequenceStatus> running;
  std::vector<SequenceStatus> waiting;
  for (SequenceProgress progress : scheduler_.progress()) {
    const auto slice = begun.find(progress.sequence);
    if (slice != begun.end() && progress.running) {
      progress.computed -= slice->second->tokens;
      progress.length -= slice->second->yields_token ? 1 : 0;
    }
    const Sequence& sequence = *sequences_.at(progress.sequence);
    const int left = progress.length - progress.computed;
    const int generated = progress.length - sequence.prompt_tokens();
    const bool decodes = left == 1 && generated > 0;
    (progress.running ? running : waiting)
        .push_back({decodes ? 0 : left, progress.computed, generated, sequence.tokens_max(),
                    progress.lane});
  }
  inbox_->publish(std::move(running), std::move(waiting), pool_.blocks_free() * kBlockTokens);
}

}  // namespace spillway::local
