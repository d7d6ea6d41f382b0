// A model without a model: filler tokens at the pace of a StepModel, for tests of everything around
// it.
//
// Needs no file and no torch. A step takes exactly as long as the StepModel says (it sleeps); what
// it answers depends only on how much was generated, so runs can be compared. Ends an answer by
// itself after kSyntheticAnswer tokens, or after min_tokens where they are asked for; one that is
// held to a form, as soon as that may be. See Executor for threads.
#pragma once

#include "backends/contract/status.h"
#include "backends/local/engine/executor.h"
#include "backends/local/engine/text_codec.h"

#include <memory>
#include <vector>

namespace spillway::local {

inline constexpr int kSyntheticWords = 256;
inline constexpr int kSyntheticVocabulary = kSyntheticWords + 128;  // Behind the words, ASCII.
inline constexpr int kSyntheticAnswer = 96;

class SyntheticExecutor final : public Executor {
 public:
  SyntheticExecutor(StepModel pace, ExecutorShape shape) : pace_(pace), shape_(shape) {}

  ExecutorShape shape() const override { return shape_; }
  Result<StepResult> run(std::span<const Slice> slices) override;

 private:
  static std::int32_t said_by(const SequenceSampler& sampler);

  const StepModel pace_;
  const ExecutorShape shape_;
  std::vector<std::int32_t> sampled_;
  std::vector<float> logits_;  // Of whoever asks for logprobs; else nothing.
};

// Its text: a token for about four bytes of a message, a few words for what it says, and ASCII for
// what is held to a form.
std::unique_ptr<TextCodec> make_synthetic_codec();

}  // namespace spillway::local
