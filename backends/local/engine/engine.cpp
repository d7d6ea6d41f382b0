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
                            const StepModel& prior, const TextCodec& codec) {
  EngineStatus status;
  status.ready = true;
  status.sequences_max = limits.sequences_max;
  status.budget = limits.step;
  status.waiting_max = limits.waiting_max;
  status.kv_tokens_total = shape.kv_blocks * kBlockTokens;
  status.kv_tokens_free = status.kv_tokens_total;
  status.context_max = usable_context(limits, shape);
  status.holds_forms = grammar::is_built() && shape.heeds_masks;
  status.calls_tools = codec.style().calls != nullptr;
  status.tells_logits = shape.tells_logits;
  status.step = prior;
  return status;
}

EngineLimits consistent(EngineLimits limits, const ExecutorShape& shape) {
  limits.sequences_max = std::max(limits.sequences_max, 1);
  limits.step.tile_tokens = shape.tile_tokens;
  limits.step.tokens_max = std::max(limits.step.tokens_max, limits.sequences_max);
  return limits;
}

Error stopped() {
  return {Errc::backend_unavailable, "the local engine was stopped", "", std::nullopt};
}

Error nothing_follows() {
  return {Errc::internal, "the form that the answer is held to lets nothing follow", "",
          std::nullopt};
}

Error broken(const Error& cause) {
  return {Errc::backend_unavailable, "the local engine failed: " + cause.message, "", std::nullopt};
}

Error too_slow() {
  return {Errc::slow_client, "the client reads more slowly than allowed", "", std::nullopt};
}

// Before the first draft was checked: a prompt's tokens are cheap by the hundred alone.
StepModel supposing_drafts(StepModel model) {
  constexpr double kPartOfStep = 0.2;
  model.per_prefill_token = kPartOfStep * model.seconds(1, 0, 0);
  return model;
}

}  // namespace

Engine::Engine(EngineLimits limits, StepModel prior, const TextCodec& codec,
               std::unique_ptr<Executor> executor, EngineObserver* observer, SequenceSource* source)
    : limits_(consistent(limits, executor->shape())),
      codec_(codec),
      executor_(std::move(executor)),
      context_max_(usable_context(limits_, executor_->shape())),
      observer_(observer),
      source_(source),
      inbox_(std::make_shared<Inbox>(initial_status(limits_, executor_->shape(), prior, codec),
                                     observer)),
      pool_(executor_->shape().kv_blocks, kBlockTokens, observer),
      scheduler_({limits_.sequences_max, limits_.step}, pool_),
      fit_(prior),
      draft_fit_(supposing_drafts(prior)),
      seed_(std::random_device{}()),
      intake_(source == nullptr
                  ? std::make_unique<Intake>(*this, inbox_, codec_, limits_.prefix_cache,
                                             limits_.form_server)
                  : nullptr),
      follower_(inbox_->status().holds_forms ? std::make_unique<FormFollower>() : nullptr),
      thread_([this] { run(); }) {
  calibrated_.get_future().wait();
}

Engine::~Engine() { stop(SteadyClock::now()); }

Result<std::shared_ptr<Bridge>> Engine::submit(Ask ask, boost::asio::any_io_executor consumer) {
  return intake_->submit(std::move(ask), std::move(consumer), limits_.bridge_capacity);
}

Result<void> Engine::submit(Ask ask, const MakeOutlet& make_outlet) {
  return intake_->submit(std::move(ask), make_outlet);
}

int Engine::cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const {
  return limits_.prefix_cache ? pool_.prefixes().cached_tokens(owner, prompt) : 0;
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
    draft_fit_ = StepFit(supposing_drafts(fit_.model()));
    inbox_->end_step(fit_.model());
  }
  if (!calibrated) fail_all(broken(calibrated.error()));
  calibrated_.set_value();
  if (calibrated) serve();
}

void Engine::serve() {
  std::optional<Deadline> wait_until;
  while (true) {
    await_planning_time();
    Mail mail = inbox_->take(wait_until);
    woke_ = SteadyClock::now();
    take_in(std::move(mail.arrivals));
    heed(mail.rings);
    drop_slow_clients();
    const bool has_none = sequences_.empty() && (source_ == nullptr || source_->is_empty());
    if (mail.drain_until && (has_none || SteadyClock::now() >= *mail.drain_until)) {
      return fail_all(stopped());
    }

    auto plan = source_ == nullptr
                    ? scheduler_.plan(fit_.model())
                    : scheduler_.plan(fit_.model(), [this](Lane lane) { return take_more(lane); });
    publish(plan.empty() && !steps_.empty() ? &steps_.front() : nullptr);
    if (source_ != nullptr) source_->planned();
    wait_until.reset();
    if (plan.empty() && steps_.empty()) {
      inbox_->show();
      wait_until = next_wake(mail.drain_until);
      continue;
    }
    if (auto ran = advance(std::move(plan)); !ran) return fail_all(broken(ran.error()));
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
      continue;
    }
    if (sequence.parked_since && !sequence.outlet_full()) sequence.parked_since.reset();
    const bool was_awaited = sequence.awaits_form && sequence.form()->known();
    if (was_awaited) sequence.awaits_form = false;
    scheduler_.pause(ring.id, sequence.is_held());
    if (was_awaited) heed_form(ring.id);
  }
}

// The next step waits a little for what the forms let follow; who is not done by then is left out
// of it.
void Engine::follow_forms(const std::vector<std::pair<SequenceId, std::int32_t>>& tokens) {
  constexpr std::chrono::milliseconds kPatience(2);
  if (tokens.empty()) return;
  for (const auto& [id, token] : tokens) {
    follower_->follow(sequences_.at(id)->form(), token,
                      [inbox = inbox_, id = id] { inbox->ring(id); });
  }
  follower_->await(SteadyClock::now() + kPatience);
  for (const auto& [id, token] : tokens) {
    Sequence& sequence = *sequences_.at(id);
    if (sequence.form()->known()) {
      heed_form(id);
    } else {
      sequence.awaits_form = true;
      scheduler_.pause(id, true);
    }
  }
}

void Engine::heed_form(SequenceId id) {
  Sequence& sequence = *sequences_.at(id);
  if (sequence.heed_form()) return;
  sequence.fail(sequence.form()->takes_too_long() ? takes_too_long_to_follow() : nothing_follows());
  end(id);
  inbox_->count([](EngineCounters& counters) { ++counters.failed; });
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

void Engine::end(SequenceId id) {
  scheduler_.remove(id);
  sequences_.erase(id);
  let_follow(id);
}

void Engine::fail_all(const Error& error) {
  const std::vector<NewSequence> arrivals = inbox_->fail();
  for (const NewSequence& arrival : arrivals) arrival.outlet->fail(error);
  for (const auto& [id, sequence] : sequences_) sequence->fail(error);
  const std::uint64_t failed = arrivals.size() + sequences_.size();
  inbox_->count([failed](EngineCounters& counters) { counters.failed += failed; });
  inbox_->show();
  while (!sequences_.empty()) end(sequences_.begin()->first);
  steps_.clear();
  if (observer_ != nullptr) observer_->ended(error);
  if (source_ != nullptr) source_->ended(error);
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
    if (sequence.awaits_leader) progress.computed = findable_tokens(sequence.tokens());
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
