// When a request would get its first and its last token from the local engine, were it handed in
// now: the engine's scheduler simulated forward from its exact state, with its measured step times.
// Pure; any thread.
//
// The scheduler as modelled (backends/local/sched is the original): each step gives every decoding
// sequence one token, and what StepBudget leaves to prompt chunks of the foreground or, if
// that has none, of the background, which else gets what is left in the step's last tile; while
// budget is left a waiting sequence is admitted, first come first served, if a slot and KV room for
// its prompt are free; a prompt's first token comes at the end of the step that finishes it. Nobody
// overtakes in the foreground, so what arrives after the request delays its first token by no more
// than that step (Ask::following_tokens). Not modelled: sequences that give up their KV blocks when
// the cache runs out.
//
// Runs of equal steps are summed in closed form: the cost grows with the sequences that start or
// end before the request does, not with tokens or steps. No allocation up to 512 running sequences.
#pragma once

#include "backends/contract/status.h"
#include "gateway/policy/length.h"

#include <algorithm>
#include <limits>

namespace spillway::policy {

struct Ask {
  int prompt_tokens = 0;
  double completion_tokens = 1.0;  // Expected length of its answer.
  double typical_tokens = 0.0;     // Expected of those who wait; 0: they use up their tokens_max.
  Lane lane = Lane::foreground;
  Remaining remaining;       // Of those that have begun; unknown: they use up their tokens_max.
  int following_tokens = 0;  // Prompts that come behind it: they fill up the step in which its own
                             // ends.
};

// All in seconds from now; `ttft` and `finish` are corrected, `ttft_model` is what the model alone
// says.
struct Prediction {
  double queue = 0.0;       // Until it leaves the waiting queue.
  double ttft = 0.0;        // Until its first token.
  double ttft_bound = 0.0;  // 95 of 100 come sooner; the caller's, who knows how exact it has been.
  double ttft_model = 0.0;
  StepSums steps;          // Whose time ttft_model is…
  double underway = 0.0;   // …but for what had passed of the first.
  double per_token = 0.0;  // Mean time of each further token.
  double finish = 0.0;     // Until its last token.
  double queue_moves =
      0.0;  // Until the first of those who wait is admitted: when a full queue has room again.
  bool exact = true;  // False: past `horizon`, extrapolated from the work that is left.

  // ttft_model by what is known now of the steps' cost.
  double ttft_by(const StepModel& step) const {
    return std::max(0.0, step.seconds(steps) - underway);
  }
};

constexpr double kNoHorizon = std::numeric_limits<double>::infinity();

// `correction` is observed ÷ predicted TTFT of late (correction.h). Past `horizon` seconds the
// simulation stops and extrapolates: a decision only needs to know that a limit is missed, not by
// how much. All times are infinite for a prompt that is longer than the whole KV cache.
Prediction predict(const EngineStatus& engine, const Ask& ask, double correction = 1.0,
                   double horizon = kNoHorizon);

}  // namespace spillway::policy
