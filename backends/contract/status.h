// The local engine's exact state at one moment: what the policy predicts from. Plain values, no
// Asio.
#pragma once

#include <cstdint>
#include <vector>

namespace spillway {

// Time of one engine step, fitted online to measured steps (recursive least squares with
// forgetting):
//   step = base + per_sequence·b + per_context_token·K + per_prefill_token·p        [seconds]
// with b sequences decoding over K tokens of context in sum, and p prompt tokens prefilled in the
// step.
struct StepModel {
  double base = 0.0;
  double per_sequence = 0.0;
  double per_context_token = 0.0;
  double per_prefill_token = 0.0;
  std::uint64_t steps_seen = 0;  // 0: still the configured prior, nothing measured yet.

  double seconds(double sequences, double context_tokens, double prefill_tokens) const {
    return base + per_sequence * sequences + per_context_token * context_tokens +
           per_prefill_token * prefill_tokens;
  }
};

// One sequence that is in the batch or waits for it. Order in EngineStatus is the order of service.
struct SequenceStatus {
  int prefill_left = 0;    // Prompt tokens not yet in the KV cache.
  int context_tokens = 0;  // Tokens in the KV cache.
  int generated = 0;
  int tokens_max = 0;  // It ends at this many generated tokens at the latest.
};

struct EngineStatus {
  bool ready = false;  // Model loaded, engine thread alive.
  std::vector<SequenceStatus>
      running;  // Hold KV blocks: decoding, or in the middle of their prompt.
  std::vector<SequenceStatus>
      waiting;  // Not admitted yet, oldest first; includes what was handed in a moment ago.
  int sequences_max = 0;    // Most sequences in a batch.
  int step_tokens_max = 0;  // Token budget of a step: decodes first, the rest for prompt chunks.
  int waiting_max = 0;      // Hard limit of `waiting`; past it the engine refuses.
  int kv_tokens_total = 0;
  int kv_tokens_free = 0;
  int context_max = 0;        // Longest prompt + completion the model takes.
  double step_elapsed = 0.0;  // Seconds since the step in progress began; 0 when idle.
  StepModel step;
};

}  // namespace spillway
