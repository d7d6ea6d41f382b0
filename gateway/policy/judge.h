// What one target would do for one request, and what speaks against it: the facts that the router
// ranks by and that explain() tells. Pure.
#pragma once

#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/predict.h"

#include <cstddef>
#include <optional>
#include <span>

namespace spillway::policy {

// What is asked, in the numbers that matter, the SLA's as seconds (infinite where it has none).
struct Work {
  int prompt_tokens = 0;
  int prompt_to_fit = 0;  // Of that, what an answer has beside it in the context.
  int form_tokens = 0;    // Beside these, where forms are read.
  int cached_tokens = 0;
  std::optional<int> completion_tokens_max;
  double completion_tokens = 1.0;  // Expected.
  int choices = 1;                 // So many answers, each of that length.
  int search_units = 0;            // Of a ranking, at most.
  double typical_tokens = 0.0;     // Of other answers of late; 0: unknown.
  Lane lane = Lane::foreground;
  bool yields = false;         // It leaves a provider's last places to who cannot wait.
  bool at_batch_rate = false;  // It is asked for in providers' cheaper tiers.
  Remaining remaining;
  Endpoint asks = Endpoint::chat;
  Need needs = Need::nothing;
  std::span<const FieldNeed> beyond;
  double ttft_max = kNoHorizon;
  double per_token_max = kNoHorizon;
  double finish_max = kNoHorizon;
};

// The class's, tightened by the request's own limits and the client's timeout.
config::Sla sla_of(const config::RequestClass& request_class, const RequestFacts& request);

// Its client asks for less time than the class promises: what becomes of that is its own affair,
// and says nothing of class or targets. Libraries tell their timeout with each request: only a
// short one is a wish.
bool asks_for_less(const config::RequestClass& request_class, const RequestFacts& request);

// Work of a class that may wait stands behind what somebody waits for.
Lane lane_of(const config::RequestClass& request_class);

// `request_class` is its class's key.
Work work_of(const config::Sla& sla, std::size_t request_class, const RequestFacts& request,
             const FleetFacts& fleet);

// Of a provider's places those that work that may wait can have: a quarter of them, one at least,
// is left to who cannot wait.
int places_for_waiting(const config::ProviderTarget& provider, const ProviderFacts& facts);

struct Judged {
  Verdict verdict = Verdict::fits;
  double ttft = 0.0;          // Seconds. Local: predicted; provider: its P90 of late.
  double ttft_typical = 0.0;  // Local: predicted; provider: its median of late.
  double ttft_p95 = 0.0;      // Of 100 first tokens 95 come within this time.
  double per_token = 0.0;
  double finish = 0.0;
  double lateness = 0.0;  // The largest of the three over its limit; at most 1 meets the SLA.
  double in_time = 1.0;   // A provider: the share of prompts of this length that it has in time.
  bool at_batch_rate = false;
  int form_tokens = 0;    // Read there beside the prompt.
  int cached_tokens = 0;  // Of the prompt, what a provider is expected to bill as cached.
  config::NanoUsd expected_cost = 0;
  config::NanoUsd full_cost = 0;  // The same without what the cheaper tier saves.
  config::NanoUsd worst_case_cost = 0;
  std::optional<Prediction> prediction;  // Local and able to take it only.
};

// Whose first tokens are in time less often than this counts as late.
inline constexpr double kInTimeLeast = 0.25;

// How far the engine is simulated step by step: far enough to tell whether the SLA is met, which is
// quick however long the queue, or until the request has its first token.
enum class Sight { to_the_sla, to_the_end };

// `headroom` is the share of the SLA's TTFT that the prediction may use up.
Judged judge_local(const FleetFacts& fleet, const Work& work, double headroom,
                   Sight sight = Sight::to_the_sla);

// Whether it is asked for its cheaper tier: it has one, with room as far as anybody knows, it is
// well, and the work is a batch's or flex.
bool costs_less(const config::ProviderTarget& provider, const ProviderFacts& facts,
                const Work& work, TimePoint now);

Judged judge_provider(const config::ProviderTarget& provider, const ProviderFacts& facts,
                      const Work& work, TimePoint now);

// Whether class and key (null: none) let data go where the provider keeps it; what is on this
// machine stays here.
bool may_have_data(const config::ProviderTarget& provider,
                   const config::RequestClass& request_class, const config::Key* key);

// The facts of provider number `at`, or what its catalogue says.
ProviderFacts facts_of(const config::ProviderTarget& provider, std::size_t at,
                       const FleetFacts& fleet);

}  // namespace spillway::policy
