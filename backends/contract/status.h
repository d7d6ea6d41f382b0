// The local engine's exact state at one moment: what the policy predicts from. Plain values, no
// Asio.
#pragma once

#include "backends/contract/need.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace spillway {

// Who is served first: somebody waits for the foreground; the background takes what that leaves.
enum class Lane { foreground, background };

// Time of one engine step, fitted online to measured steps (recursive least squares with
// forgetting):
//   step = base + per_sequence·b + per_context_token·K + per_prefill_token·p        [seconds]
// with b sequences decoding over K tokens of context in sum, and p prompt tokens prefilled in the
// step.
// What several steps cost is linear in these.
struct StepSums {
  double steps = 0.0;
  double sequences = 0.0;
  double context_tokens = 0.0;
  double prefill_tokens = 0.0;

  StepSums operator+(const StepSums& more) const {
    return {steps + more.steps, sequences + more.sequences, context_tokens + more.context_tokens,
            prefill_tokens + more.prefill_tokens};
  }
};

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

  double seconds(const StepSums& sums) const {
    return base * sums.steps + per_sequence * sums.sequences +
           per_context_token * sums.context_tokens + per_prefill_token * sums.prefill_tokens;
  }
};

// How much goes into a step: a token for every sequence that decodes, the rest for prompt chunks.
// The engine plans by it and predictions assume it.
struct StepBudget {
  int tokens_max = 0;
  // Chunks are cut so that a step stays within this time; 0: the tokens alone count.
  double seconds_max = 0.0;
  int chunk_tokens_min = 64;  // However slow the steps, prompts get on by so many tokens each.
  // A step of more than two tiles of so many tokens takes as long as if its last tile were full; 0:
  // it does not.
  int tile_tokens = 0;

  // The prompt tokens that fit beside `sequences` decodes over `context_tokens` in sum.
  int prompt_tokens(const StepModel& step, int sequences, double context_tokens) const {
    const int most = most_prompt_tokens(step, sequences, context_tokens);
    const int whole = most - over_tiles(sequences + most);
    return whole >= chunk_tokens_min ? whole : most;
  }

  // How many more a step of so many tokens takes in the same time.
  int left_in_tile(int tokens) const {
    const int over = over_tiles(tokens);
    return over > 0 ? std::min(tile_tokens - over, std::max(0, tokens_max - tokens)) : 0;
  }

 private:
  int most_prompt_tokens(const StepModel& step, int sequences, double context_tokens) const {
    const int by_tokens = std::max(0, tokens_max - sequences);
    if (seconds_max <= 0.0 || step.per_prefill_token <= 0.0) return by_tokens;
    const double spare = seconds_max - step.seconds(sequences, context_tokens, 0.0);
    const double by_time = std::clamp(spare / step.per_prefill_token, 0.0, 1.0 * tokens_max);
    return std::min(by_tokens, std::max(chunk_tokens_min, static_cast<int>(by_time)));
  }

  // The tokens of a step in its last tile, unless that is full.
  int over_tiles(int tokens) const {
    return tile_tokens > 0 && tokens > 2 * tile_tokens ? tokens % tile_tokens : 0;
  }
};

// One sequence that is in the batch or waits for it.
struct SequenceStatus {
  int prefill_left = 0;    // Prompt tokens not yet in the KV cache.
  int context_tokens = 0;  // Tokens in the KV cache.
  int generated = 0;
  int tokens_max = 0;  // It ends at this many generated tokens at the latest.
  Lane lane = Lane::foreground;
};

// Puts a sequence behind all others of its lane.
inline void queue_up(std::vector<SequenceStatus>& row, const SequenceStatus& sequence) {
  const auto later = [&](const SequenceStatus& other) { return other.lane > sequence.lane; };
  row.insert(std::find_if(row.begin(), row.end(), later), sequence);
}

struct EngineStatus {
  bool ready = false;  // Model loaded, engine thread alive.
  // Both in the order of service: the foreground first, and in a lane the oldest. `running` hold KV
  // blocks, decoding or in the middle of their prompt; `waiting` includes what was handed in a
  // moment ago.
  std::vector<SequenceStatus> running;
  std::vector<SequenceStatus> waiting;
  int sequences_max = 0;  // Most sequences in a batch.
  StepBudget budget;
  int waiting_max = 0;  // Hard limit of `waiting`; past it the engine refuses.
  int kv_tokens_total = 0;
  int kv_tokens_free = 0;
  bool kv_reserved = false;   // An admitted sequence holds KV for its whole answer from the start.
  int context_max = 0;        // Longest prompt + completion the model takes.
  bool holds_forms = false;   // It can hold an answer to a form.
  bool calls_tools = false;   // Its model knows how to call functions.
  bool tells_logits = false;  // What its model makes of each token can be seen, and changed.
  // Seconds since the step in progress began; 0 when idle. Negative: the next step, too, is made
  // already, and begins in so long; `running` is then what it begins with.
  double step_elapsed = 0.0;
  StepModel step;
  // Of several engines behind one waiting room (local.replicas), each by itself, those that have
  // failed included; the rest of this is then their sum, with the mean step of those that are
  // ready. Empty: there is one engine.
  std::vector<EngineStatus> replicas;

  // How many engines there are to run steps.
  int engines() const {
    if (replicas.empty()) return 1;
    const auto runs = [](const EngineStatus& replica) { return replica.ready; };
    return static_cast<int>(std::count_if(replicas.begin(), replicas.end(), runs));
  }

  // What it can do of all that requests ask for.
  Need takes() const {
    Need needs = Need::sampling | Need::choices;
    if (holds_forms) needs |= Need::formats | Need::guided;
    if (calls_tools) needs |= Need::tools;
    if (tells_logits) needs |= Need::logprobs | Need::logit_bias | Need::echo;
    return needs;
  }

  // Whether so many more find no place to wait in: who will have one in the batch at the next step
  // does not really wait.
  bool is_full_for(int sequences) const {
    const int places = std::max(0, sequences_max - static_cast<int>(running.size()));
    return static_cast<int>(waiting.size()) + sequences > waiting_max + places;
  }
};

}  // namespace spillway
