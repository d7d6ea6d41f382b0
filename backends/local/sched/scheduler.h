// Who runs in the next step, and how much of it: continuous batching under a token budget.
//
// Pure bookkeeping without torch, clock or threads; used by the engine thread alone. A step can be
// planned while the one before still runs: what has begun counts as done, but blocks that a step
// under way may write are not given to anybody else before it is finished. The foreground
// comes before the background, also in the middle of a prompt; within a lane, first come, first
// served. A step gives one token to every sequence that decodes, then the rest of its budget to
// the prompts of one lane, in chunks; the other's get what costs that lane no time. Admission takes
// KV blocks for the whole prompt; decoding takes blocks as it grows, and when none is left the last
// in the order of service gives up its own, returns to the front of its lane and is recomputed
// later. What has been computed before, of the same text for the same owner, is found in the pool
// and skipped. The first always gets on, so there is no deadlock as long as one sequence alone fits
// (`fits`). Where no prompt is read, what is left of the budget goes to drafts: tokens that are
// guessed behind the last one of a sequence, and computed with it. They are nobody's until they are
// confirmed.
#pragma once

#include "backends/contract/status.h"
#include "backends/local/kv/block_pool.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::local {

using SequenceId = std::uint64_t;

// What a sequence says: by it, blocks that hold its beginning are found.
class SequenceText {
 public:
  virtual ~SequenceText() = default;

  // Prompt and what was generated, as far as it is known, in order.
  virtual std::span<const std::int32_t> tokens() const = 0;

  // Whose it is: blocks are shared among texts of one owner only.
  virtual std::string_view owner() const = 0;
};

struct SchedulerLimits {
  int sequences_max = 8;
  StepBudget step{.tokens_max = 256};
};

// `tokens` tokens of the sequence from `first_position` on. `yields_token`: the step reaches the
// end of what the sequence has, so that row decides the next token. The last `drafts` of the tokens
// are guessed: behind each the next is decided, should it be right.
struct ScheduledSlice {
  SequenceId sequence = 0;
  int first_position = 0;
  int tokens = 0;
  bool yields_token = false;
  int drafts = 0;
};

struct SequenceProgress {
  SequenceId sequence = 0;
  int length = 0;    // Prompt and what was generated so far, steps under way included.
  int computed = 0;  // Of these, how many are in the KV blocks, or wait to be found there.
  bool running = false;
  Lane lane = Lane::foreground;
};

class Scheduler {
 public:
  // `pool` must outlive the scheduler. Requires: step.tokens_max ≥ sequences_max.
  Scheduler(SchedulerLimits limits, BlockPool& pool);

  // True if a sequence that grows to `tokens` tokens fits when it is alone.
  bool fits(int tokens) const { return pool_.blocks_for(tokens) <= pool_.blocks_total(); }

  // Puts a sequence at the end of its lane's waiting room. It is planned no more once the step that
  // gives it its last token, the `tokens_max`th, has begun. Without `text` everything is computed;
  // with it, it must outlive the sequence. Requires: a new id, prompt_tokens ≥ 1, and that the
  // sequence is ended before it outgrows fits().
  void add(SequenceId sequence, int prompt_tokens, Lane lane = Lane::foreground,
           int tokens_max = kNoLimit, const SequenceText* text = nullptr);

  // Every token of the sequence is computed, found or not, and no more than so many in a step, with
  // those of others of its kind. Requires: it has just been added; one token at least.
  void compute_all(SequenceId sequence, int step_tokens_max);

  // Adds one more of the lane, if there is one that is to begin now.
  using More = std::function<bool(Lane lane)>;

  // Chooses the next step; empty if nobody can run. Every slice has its blocks. `pace` is what a
  // budget in time is reckoned with. `more`, if there is such, is asked while there is budget that
  // nobody who waits here wants.
  std::vector<ScheduledSlice> plan(const StepModel& pace = {}, const More& more = {});

  // Whether a sequence that is added now would be admitted, if nobody waited.
  bool has_room(std::string_view owner, std::span<const std::int32_t> prompt) const;

  // The planned step runs from now on; each yielding slice gets one more token, known or not, which
  // the next step computes.
  void begin(const std::vector<ScheduledSlice>& plan);

  // The oldest step that has begun is finished. Requires: there is one.
  void finish();

  // Both at once.
  void commit(const std::vector<ScheduledSlice>& plan) {
    begin(plan);
    finish();
  }

  // So many tokens are guessed behind the last one of the sequence: as many of them as there is
  // room for are in the next step, or none are. Requires: no step under way has it, and its last
  // token is known.
  void draft(SequenceId sequence, int tokens);

  // Of the step that has just finished, the sequence's next draft was right: it is a token like any
  // other, and one more follows it. Requires: no other step has begun.
  void confirm_draft(SequenceId sequence);

  // The sequence is over (finished, failed or cancelled): its blocks are free as soon as no step
  // under way has it.
  void remove(SequenceId sequence);

  // A paused sequence keeps its place and its blocks but is left out of steps.
  void pause(SequenceId sequence, bool paused);

  const std::vector<std::int32_t>& blocks(SequenceId sequence) const;
  int length(SequenceId sequence) const { return sequences_.at(sequence)->length; }

  // Tokens of its prompt that were found computed when it was admitted first.
  int reused(SequenceId sequence) const { return sequences_.at(sequence)->reused; }

  // All sequences in the order of service: the running ones first.
  std::vector<SequenceProgress> progress() const;
  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return static_cast<int>(waiting_.size()); }
  std::uint64_t preemptions() const { return preemptions_; }

 private:
  static constexpr int kNoLimit = std::numeric_limits<int>::max();

  struct Sequence {
    SequenceId id = 0;
    Lane lane = Lane::foreground;
    int prompt = 0;
    int tokens_max = 0;
    int step_max = kNoLimit;  // See compute_all.
    bool reuses = true;       // What is found of its text.
    int length = 0;
    int computed = 0;
    int drafts = 0;  // Guessed, and in no step yet.
    int reused = 0;
    int findable = 0;  // While it waits: what of it was in the pool when last looked for.
    bool admitted_before = false;
    bool paused = false;
    std::uint64_t last_step = 0;  // That has begun with it.
    std::vector<std::int32_t> blocks;
    const SequenceText* text = nullptr;
    PrefixPosition prefix;
  };

  // Blocks that nobody owns any more, but a step under way may still write.
  struct Retired {
    std::uint64_t last_step = 0;
    std::vector<std::int32_t> blocks;
  };

  // Of a step that is being planned.
  struct PromptBudget {
    int tokens = 0;
    int limited = 0;  // Taken by sequences with a step_max.
  };

  static bool decodes(const Sequence& sequence) {
    return sequence.computed + 1 == sequence.length && sequence.length > sequence.prompt;
  }
  // Its last token is there, or will be.
  static bool complete(const Sequence& sequence) {
    return sequence.length - sequence.prompt >= sequence.tokens_max;
  }
  bool under_way(const Sequence& sequence) const { return sequence.last_step > steps_finished_; }
  double plan_decodes(std::vector<ScheduledSlice>& plan);
  void plan_prompts(Lane lane, std::vector<ScheduledSlice>& plan, PromptBudget& budget);
  static void plan_chunk(const Sequence& sequence, std::vector<ScheduledSlice>& plan,
                         PromptBudget& budget);
  void plan_drafts(std::vector<ScheduledSlice>& plan, int budget);
  Sequence* admit_next(Lane lane, const More& more);
  bool take_blocks(Sequence& sequence);
  void remember(Sequence& sequence);
  bool grow_or_preempt(Sequence& sequence);
  void preempt_last();
  void give_back(Sequence& sequence);

  const SchedulerLimits limits_;
  BlockPool& pool_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // In the order of service: by lane, then by admission.
  std::deque<Sequence*> waiting_;   // By lane, then by arrival.
  std::vector<Retired> retired_;
  std::uint64_t steps_begun_ = 0;
  std::uint64_t steps_finished_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace spillway::local
