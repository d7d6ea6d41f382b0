// Who runs in the next step, and how much of it: continuous batching under a token budget.
//
// Pure bookkeeping without torch, clock or threads; used by the engine thread alone. Sequences
// are served first come, first served. A step gives one token to every sequence that decodes, then
// the rest of its budget to prompts, oldest first, in chunks. Admission takes KV blocks for the
// whole prompt; decoding takes blocks as it grows, and when none is left the youngest running
// sequence gives up its own, returns to the front of the waiting room and is recomputed later. The
// oldest always gets on, so there is no deadlock as long as one sequence alone fits (`fits`).
#pragma once

#include "backends/local/kv/block_pool.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

namespace spillway::local {

using SequenceId = std::uint64_t;

struct SchedulerLimits {
  int sequences_max = 8;
  int step_tokens_max = 256;
};

// `tokens` tokens of the sequence from `first_position` on. `yields_token`: the step reaches the
// end of what the sequence has, so its last row decides the next token.
struct ScheduledSlice {
  SequenceId sequence = 0;
  int first_position = 0;
  int tokens = 0;
  bool yields_token = false;
};

struct SequenceProgress {
  SequenceId sequence = 0;
  int length = 0;    // Prompt and what was generated so far.
  int computed = 0;  // Of these, how many are in the KV blocks.
  bool running = false;
};

class Scheduler {
 public:
  // `pool` must outlive the scheduler. Requires: step_tokens_max ≥ sequences_max.
  Scheduler(SchedulerLimits limits, BlockPool& pool);

  // True if a sequence that grows to `tokens` tokens fits when it is alone.
  bool fits(int tokens) const { return pool_.blocks_for(tokens) <= pool_.blocks_total(); }

  // Puts a sequence at the end of the waiting room. Requires: a new id, prompt_tokens ≥ 1, and that
  // the sequence is ended before it outgrows fits().
  void add(SequenceId sequence, int prompt_tokens);

  // Chooses the next step; empty if nobody can run. Every slice has its blocks.
  std::vector<ScheduledSlice> plan();

  // The planned step has run; each yielding slice gets one more token, which the next step
  // computes.
  void commit(const std::vector<ScheduledSlice>& plan);

  // The sequence is over (finished, failed or cancelled): its blocks are free at once.
  void remove(SequenceId sequence);

  // A paused sequence keeps its place and its blocks but is left out of steps.
  void pause(SequenceId sequence, bool paused);

  const std::vector<std::int32_t>& blocks(SequenceId sequence) const;
  int length(SequenceId sequence) const { return sequences_.at(sequence)->length; }

  // All sequences in the order of service: the running ones first.
  std::vector<SequenceProgress> progress() const;
  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return static_cast<int>(waiting_.size()); }
  std::uint64_t preemptions() const { return preemptions_; }

 private:
  struct Sequence {
    SequenceId id = 0;
    int length = 0;
    int computed = 0;
    bool paused = false;
    std::vector<std::int32_t> blocks;
  };

  bool decodes(const Sequence& sequence) const { return sequence.computed + 1 == sequence.length; }
  void plan_decodes(std::vector<ScheduledSlice>& plan, int& budget);
  void plan_prompts(std::vector<ScheduledSlice>& plan, int& budget);
  static void plan_chunk(const Sequence& sequence, std::vector<ScheduledSlice>& plan, int& budget);
  bool admit_next();
  bool grow_or_preempt(Sequence& sequence);
  void preempt_youngest();

  const SchedulerLimits limits_;
  BlockPool& pool_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // In order of admission: oldest first.
  std::deque<Sequence*> waiting_;
  std::uint64_t preemptions_ = 0;
};

}  // namespace spillway::local
