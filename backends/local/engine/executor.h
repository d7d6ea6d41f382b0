// Who runs a batch step of the model: the seam between the engine (no torch) and the arithmetic.
//
// The engine thread alone calls it. Steps finish in the order in which they were begun; where the
// executor chooses the tokens itself, a step can be begun while the one before still runs, and its
// slices name tokens that nobody has seen yet. The executor owns the weights and the KV memory;
// which block belongs to which sequence is the scheduler's business and arrives with every slice.
// Nothing is cancelled inside a step: a sequence that ends is simply absent from the next one.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <cstdint>
#include <span>

namespace spillway::local {

class SequenceSampler;

using SequenceId = std::uint64_t;

// Tokens of context that one KV block holds.
inline constexpr int kBlockTokens = 16;

// What of a prompt that has just been read need not be read again: whole blocks, but the last
// token.
inline int findable_tokens(std::span<const std::int32_t> prompt) {
  return (static_cast<int>(prompt.size()) - 1) / kBlockTokens * kBlockTokens;
}

// In place of a token: the one that the step before this chose for the sequence.
inline constexpr std::int32_t kTokenUnderWay = -1;

struct ExecutorShape {
  int vocabulary = 0;         // Floats in a row of logits.
  int context_max = 0;        // Longest prompt + completion the model takes.
  int kv_blocks = 0;          // Blocks of kBlockTokens tokens it has memory for.
  bool heeds_masks = false;   // Tokens are chosen by SequenceSampler, or within what it allows.
  bool tells_logits = false;  // They are chosen by SequenceSampler; or else there are logits, too,
                              // or scores, for those that ask for logprobs.
  int scored_rows_max = 0;    // Rows of a step for prompts that are scored; 0: as memory allows.
  int tile_tokens = 0;        // See StepBudget.
};

// One sequence's share of a step. The spans live until `begin` or `run` returns.
struct Slice {
  SequenceId sequence = 0;
  std::span<const std::int32_t> tokens;  // To be run at first_position, first_position + 1, …;
                                         // or kTokenUnderWay alone.
  int first_position = 0;                // Everything before it is already in the KV blocks.
  std::span<const std::int32_t> blocks;  // Position p lies in blocks[p / kBlockTokens].
  int logits_rows = 0;  // How many of the last tokens want logits; 0 in mid-prompt.
  const SequenceSampler* sampler = nullptr;  // For executors that choose the next token themselves.
  std::span<const std::int32_t> behind = {};  // Tokens behind the first of these rows, which are to
                                              // be scored; behind any other one is chosen, or
                                              // several where tokens are drafts.
};

// What a step yields, in the order of the slices that wanted logits; valid until the next `run` or
// `finish`, or the second `begin` from now.
// An executor that samples by itself fills `sampled` (and may leave `logits` empty).
struct StepResult {
  std::span<const float> logits;          // rows × vocabulary
  std::span<const std::int32_t> sampled;  // One a row, or empty: the engine samples from `logits`.
  // One a row, and nothing in those of who did not ask for logprobs; or empty: the engine scores.
  std::span<const ScoredToken> scored = {};
};

// When the step behind the one that was just begun can be: once this one is finished, or before.
enum class NextStep { after_finish, at_once };

class Executor {
 public:
  virtual ~Executor() = default;

  virtual ExecutorShape shape() const = 0;

  // Runs all slices as one batch and appends their keys and values to their blocks. An error means
  // that the executor can no longer be used (device lost, out of memory).
  // Requires: at least one slice, each with tokens and blocks for all its positions.
  virtual Result<StepResult> run(std::span<const Slice> slices) = 0;

  // `run` in two: begins the step, and later waits for what the oldest one that was begun yields.
  // An executor that runs a step while its caller waits does it all in `begin`. Requires: at most
  // one step is under way that is not finished, and none after NextStep::after_finish.
  virtual Result<NextStep> begin(std::span<const Slice> slices) {
    auto result = run(slices);
    if (!result) return result.error();
    result_ = *result;
    return NextStep::after_finish;
  }
  virtual Result<StepResult> finish() { return result_; }

 private:
  StepResult result_;
};

}  // namespace spillway::local
