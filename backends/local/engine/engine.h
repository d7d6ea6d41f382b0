// The engine: one thread that runs the model step after step for every sequence in the batch.
//
// submit, status, counters, stop: any thread. All else happens on the engine thread, which between
// two steps takes in what has arrived, drops whose consumer left, parks whose client does not read,
// asks the scheduler for the next step, begins it, and pushes each new token's text into its
// Outlet. Where the executor allows it, the next step begins before the one under way is finished,
// so that the device never waits for this thread; it is planned late, when the end of that one is
// near, so that who comes is in it. A sequence that turns out to be over has then begun a token too
// many, which nobody sees. Where it does not, a sequence may guess how it goes on; several tokens
// then come of one step, each drawn as if it came alone. It never waits for a client: a full Outlet
// only leaves its sequence out of the batch. When the executor fails, every stream fails with
// backend_unavailable and the engine is no longer ready. What an answer is to be held to is
// prepared before its sequence is handed in (intake.h). One of several engines (replicas.h) is
// handed nothing: it asks its source for those who are next when it has room for them in the step
// that it plans.
#pragma once

#include "backends/local/engine/engine_observer.h"
#include "backends/local/engine/executor.h"
#include "backends/local/engine/in_process_engine.h"
#include "backends/local/engine/inbox.h"
#include "backends/local/engine/intake.h"
#include "backends/local/engine/sequence.h"
#include "backends/local/engine/sequence_source.h"
#include "backends/local/engine/step_fit.h"
#include "backends/local/engine/text_codec.h"
#include "backends/local/kv/block_pool.h"
#include "backends/local/sched/scheduler.h"
#include "backends/process/child_process.h"

#include <chrono>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace spillway::local {

struct EngineLimits {
  int sequences_max = 8;
  StepBudget step{.tokens_max = 256};
  int waiting_max = 64;
  int context_max = 0;                            // 0: the model's own.
  bool calibrate = false;                         // See calibration.h.
  bool prefix_cache = true;                       // What was read before is not read again.
  std::optional<process::Program> form_server;    // Compiles forms; none: the engine itself does.
  DraftLimits drafts;                             // Of a sequence, checked in its next step.
  std::size_t bridge_capacity = 256;              // Deltas a client may be behind.
  std::chrono::milliseconds slow_client{10'000};  // A client that is behind for so long is dropped.
};

class Engine final : public InProcessEngine {
 public:
  // Starts the thread and waits for the calibration, if there is one. `codec`, and `observer` and
  // `source`, if there are such, must outlive the engine.
  Engine(EngineLimits limits, StepModel prior, const TextCodec& codec,
         std::unique_ptr<Executor> executor, EngineObserver* observer = nullptr,
         SequenceSource* source = nullptr);
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Requires of both: it has no source.
  Result<std::shared_ptr<Bridge>> submit(Ask ask, boost::asio::any_io_executor consumer) override;
  Result<void> submit(Ask ask, const MakeOutlet& make_outlet) override;

  int context_max() const override { return context_max_; }
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const override;
  EngineStatus status() const override { return inbox_->status(); }
  EngineCounters counters() const override { return inbox_->counters(); }
  void stop(Deadline drain_until) override;

  void nudge() override { inbox_->ring(0); }

  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }

 private:
  // What StepModel counts of a step.
  struct Work {
    double sequences = 0;
    double context_tokens = 0;
    double prefill_tokens = 0;

    Work& operator+=(const Work& more);
  };

  // A step that is under way, or about to be.
  struct Step {
    std::vector<ScheduledSlice> plan;
    Work work;
    TimePoint began;             // Behind another: when that is expected to end, until it has.
    std::vector<int> rows;       // Of logits, of each of its slices.
    std::vector<double> shares;  // Of its time, which each of them takes; 1 in sum.
  };

  void run();
  void serve();
  void take_in(std::vector<NewSequence> arrivals);
  bool take_more(Lane lane);
  void let_follow(SequenceId leader);
  void heed(const std::vector<Ring>& rings);
  void follow_forms(const std::vector<std::pair<SequenceId, std::int32_t>>& tokens);
  void heed_form(SequenceId id);
  void drop_slow_clients();
  Deadline next_wake(std::optional<Deadline> drain_until) const;
  void await_planning_time() const;
  Result<void> advance(std::vector<ScheduledSlice> plan);
  Result<NextStep> begin_step(std::vector<ScheduledSlice> plan);
  Result<void> finish_step();
  Slice slice_of(const ScheduledSlice& scheduled) const;
  Work work_of(const ScheduledSlice& slice) const;
  void divide(Step& step) const;
  void share_out(const Step& step);
  double seconds_expected(const Step& step) const;
  EngineCounters hand_out(const Step& step, const StepResult& result);
  bool take_tokens(Sequence& sequence, const ScheduledSlice& slice, const StepResult& result,
                   std::size_t row, EngineCounters& told);
  double draft_cost(const Work& work) const;
  void learn(const Work& work, const EngineCounters& told, double seconds);
  ScoredToken scored(const StepResult& result, std::size_t row, std::int32_t token, int likeliest);
  void score_prompt(Sequence& sequence, const ScheduledSlice& slice, const StepResult& result,
                    std::size_t first_row);
  void end(SequenceId id);
  void fail_all(const Error& error);
  void publish(const Step* under_way);

  const EngineLimits limits_;
  const TextCodec& codec_;
  const std::unique_ptr<Executor> executor_;
  const int context_max_;
  EngineObserver* const observer_;
  SequenceSource* const source_;
  const std::shared_ptr<Inbox> inbox_;

  BlockPool pool_;
  Scheduler scheduler_;
  StepFit fit_;
  StepFit draft_fit_;  // What steps without prompts take, drafts counted as tokens of a prompt.
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  const std::uint64_t seed_;  // Of answers that were asked for without one.
  SamplerScratch scratch_;
  std::vector<Slice> slices_;
  std::deque<Step> steps_;         // Begun and not finished: at most two.
  TimePoint woke_;                 // Began to plan.
  double planning_seconds_ = 0.0;  // What that takes until the step has begun, at worst of late.
  std::uint64_t steps_begun_ = 0;

  std::promise<void> calibrated_;
  std::unique_ptr<Intake> intake_;          // Null: what it runs comes from its source.
  std::unique_ptr<FormFollower> follower_;  // Null: no answer can be held to a form.
  std::mutex stopping_;                     // Guards joining.
  std::thread thread_;                      // Last: it uses all of the above.
};

}  // namespace spillway::local
