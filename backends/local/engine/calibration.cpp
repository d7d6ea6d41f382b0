#include "backends/local/engine/calibration.h"

#include "backends/contract/deadline.h"
#include "backends/local/sample/sampler.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace spillway::local {
namespace {

constexpr int kRounds = 3;  // The first one warms pages and caches and is not believed.

class Calibration {
 public:
  Calibration(Executor& executor, int chunk_max)
      : executor_(executor),
        tokens_(static_cast<std::size_t>(chunk_max), 0),
        prompting_(greedy(), tokens_, {}, 0),
        decoding_(greedy(), tokens_, {}, 0) {
    decoding_.record(0);
    const int blocks = (chunk_max + kBlockTokens) / kBlockTokens + 1;
    blocks_.resize(static_cast<std::size_t>(std::min(blocks, executor.shape().kv_blocks)));
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  // Seconds of a step that prefills `tokens` tokens of one prompt.
  Result<double> prefill(int tokens) {
    slices_.clear();
    slices_.push_back(slice(1, tokens, 0, prompting_));
    return run();
  }

  // Seconds of a step in which `sequences` sequences decode behind `context` tokens each. They
  // share their blocks: what is read and computed is the same.
  Result<double> decode(int sequences, int context) {
    slices_.clear();
    for (int i = 0; i < sequences; ++i) slices_.push_back(slice(1 + i, 1, context, decoding_));
    return run();
  }

 private:
  static Sampling greedy() {
    Sampling sampling;
    sampling.temperature = 0.0;
    return sampling;
  }

  Slice slice(int sequence, int tokens, int first_position, const SequenceSampler& sampler) const {
    Slice slice;
    slice.sequence = static_cast<SequenceId>(sequence);
    slice.tokens = std::span(tokens_).first(static_cast<std::size_t>(tokens));
    slice.first_position = first_position;
    slice.blocks = blocks_;
    slice.logits_rows = 1;
    slice.sampler = &sampler;
    return slice;
  }

  Result<double> run() {
    const TimePoint began = SteadyClock::now();
    auto result = executor_.run(slices_);
    if (!result) return result.error();
    return seconds_between(began, SteadyClock::now());
  }

  Executor& executor_;
  std::vector<std::int32_t> tokens_;
  SequenceSampler prompting_;
  SequenceSampler decoding_;
  std::vector<std::int32_t> blocks_;
  std::vector<Slice> slices_;
};

}  // namespace

Result<void> calibrate(Executor& executor, int sequences_max, int step_tokens_max, StepFit& fit) {
  const int room = executor.shape().kv_blocks * kBlockTokens - 1;
  const int chunk_max =
      std::max(1, std::min({step_tokens_max, room, executor.shape().context_max - 1}));
  Calibration work(executor, chunk_max);
  for (int round = 0; round < kRounds; ++round) {
    for (const int chunk : {chunk_max, std::max(1, chunk_max / 4)}) {
      auto seconds = work.prefill(chunk);
      if (!seconds) return seconds.error();
      if (round > 0) fit.observe(0, 0, chunk, *seconds);
    }
    for (const int sequences : {1, (sequences_max + 1) / 2, sequences_max}) {
      auto seconds = work.decode(sequences, chunk_max);
      if (!seconds) return seconds.error();
      if (round > 0) fit.observe(sequences, sequences * (chunk_max + 1), 0, *seconds);
    }
  }
  return {};
}

}  // namespace spillway::local
