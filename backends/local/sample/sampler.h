// Chooses a sequence's next token from a row of logits, as its Sampling asks.
//
// One object a sequence, used by the engine thread. Order of operations (vLLM's): what is allowed
// at all, biases, penalties, then temperature, min_p, top_k, top_p over what is left, then one
// draw. The draw depends on the seed and on how many tokens were generated, on nothing else: batch
// mates do not change an answer.
#pragma once

#include "backends/contract/chat.h"

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace spillway::local {

// Room to work in, shared by all sequences of a thread.
struct SamplerScratch {
  std::vector<float> logits;
  std::vector<float> weights;
  std::vector<std::int32_t> ids;
  std::vector<float> kept;  // Weights of `ids`.
};

class SequenceSampler {
 public:
  // `banned_at_first` are not chosen before tokens_min tokens are there, nor are the request's
  // stop_tokens: the ids that end an answer. `seed` is used where the request gives none.
  SequenceSampler(const Sampling& sampling, std::span<const std::int32_t> prompt,
                  std::vector<std::int32_t> banned_at_first, std::uint64_t seed);

  // The next token. Requires: a row as long as the vocabulary, no NaN.
  std::int32_t choose(std::span<const float> logits, SamplerScratch& scratch) const;

  // Nothing but the tokens whose bits are set, until told otherwise; empty: any. `mask` must live
  // as long. Requires: one bit at least is set.
  void allow(std::span<const std::uint32_t> mask);
  std::span<const std::uint32_t> allowed() const { return allowed_; }

  // Takes note of what was chosen; it counts for penalties and for the next draw.
  void record(std::int32_t token);

  const Sampling& sampling() const { return sampling_; }
  int generated() const { return generated_; }
  std::uint64_t seed() const { return seed_; }

 private:
  bool penalizes() const;
  bool alters_logits() const;
  void alter_logits(std::span<float> logits) const;
  void forbid(std::span<float> logits) const;
  bool bans_ends() const;
  bool cuts_candidates() const;
  void keep_candidates(SamplerScratch& scratch) const;
  void keep_top_p(SamplerScratch& scratch) const;
  double uniform() const;

  const Sampling sampling_;
  const std::vector<std::int32_t> banned_at_first_;  // Distinct.
  const std::uint64_t seed_;
  std::vector<std::int32_t>
      prompt_ids_;  // Distinct; only filled where repetition_penalty needs it.
  std::unordered_map<std::int32_t, int> counts_;  // Of generated tokens, where penalties need them.
  int generated_ = 0;
  std::span<const std::uint32_t> allowed_;
  bool only_ends_allowed_ = false;
};

}  // namespace spillway::local
