// A decision: where a request goes, where next if that fails, and why. A plain value; it keeps the
// Settings that its names point into alive.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/predict.h"
#include "gateway/policy/punctuality.h"
#include "gateway/policy/short_list.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace spillway::policy {

// Why the first candidate is the first.
enum class Reason {
  local_meets_sla,   // Predicted TTFT, time per token and finish are within the SLA, with headroom.
  local_lets_pass,   // …and so much so that its long prompt stands behind the others.
  spill_ttft,        // The local engine's first token would come too late,
  spill_per_token,   // …or its tokens too slowly,
  spill_deadline,    // …or its last one,
  spill_queue_full,  // …or its queue is at its hard limit,
  spill_engine_down,   // …or it is not ready.
  capability,          // The local engine cannot answer this at all: tools, images, or too long.
  class_always_cloud,  // The class's spill is `always`.
  class_never_spills,  // The class's spill is `never`.
  local_only,          // The key or the request demands it.
  model_fixed,         // The model asked for is served by one target only.
  not_served_locally,  // The local engine does not serve the model asked for.
  promise_forgone,     // Nobody can keep it, or for more than it is worth: late, but cheaply so.
  least_late,          // Nobody can meet the SLA; this one is expected to miss it by least.
  last_resort,         // No provider can take it now; the local engine does its best.
  spill_worth,         // The engine's time earns more with work that would have to leave.
  waits,               // It may wait: held until the engine has room, or until its time comes.
  engine_has_room,     // …the engine has,
  spill_due,           // …or it had to leave to be in time.
  held_full,           // It may wait, but there was no room to hold it.
  rule,                // A rule of the policy says so: Plan::rule.
  handed_over,         // It was answered in a batch of the provider's.
};

// Whose turn it is among the work that may wait (held_work.h).
enum class Turn {
  unknown,  // Not held yet.
  local,    // The engine has room for it.
  cloud,    // It has to leave.
  no_room,  // It has to leave at once: others need the room to be held.
};

// What is known of a request that is to be held.
struct Wait {
  TimePoint deadline{};  // Of its whole answer.
  int prompt_tokens = 0;
  double completion_tokens = 0.0;  // Expected.
  double cloud_seconds = 0.0;      // For a long answer, at the quickest provider that may take it.
  config::NanoUsd cloud_cost = 0;  // Expected, at the cheapest provider that may take it.
  std::string tenant;              // Who shares with others; as whoever holds it says.
  TimePoint due{};                 // When it leaves at the latest; see latest_start().
  bool again = false;              // Its turn has come before, and everybody was full.
  bool not_here = false;           // It was the engine's turn, in vain.
};

// The reason's snake_case name, as in x-spillway-reason, logs and metrics; static storage.
std::string_view name_of(Reason reason);

// What a target would do for the request, or what keeps it from taking it.
enum class Verdict {
  fits,              // Can take it and is expected to meet the SLA.
  misses_ttft,       // Can take it, but its first token is expected too late,
  misses_per_token,  // …or its tokens too slowly,
  misses_deadline,   // …or its last one too late.
  queue_full,        // The local engine's queue is at its hard limit.
  busy,              // The provider has as many requests in flight as it may.
  rate_limited,      // The provider asked for a pause.
  breaker_open,      // The provider fails.
  account_refused,   // It does not accept the gateway's account.
  not_ready,         // The engine is down.
  too_long,          // Prompt and answer are longer than the engine's context.
  incapable,         // The engine cannot answer this kind of request.
  not_in_class,      // The class does not use this provider,
  other_model,       // …or none whose model has this architecture.
  not_resident,      // Class or key keeps its data where this provider does not say that it does.
  not_in_rule,       // The rule that decides chooses among others,
  too_dear,          // …or pays less.
};

inline bool can_take(Verdict verdict) { return verdict <= Verdict::misses_deadline; }

// In a few words, for people; static storage.
std::string_view sentence_of(Verdict verdict);

struct Candidate {
  std::string_view target;        // "local", "ai-hub"
  std::string_view model;         // The target's own name for the model.
  std::string_view served_as;     // The name it is served under here.
  std::string_view architecture;  // Of the model; empty: not said.
  bool local = false;
  bool continues = false;               // Can go on with an answer that another began.
  bool at_batch_rate = false;           // Asked for its cheaper tier.
  bool not_for_full = false;            // Not where others are only full: they are asked again.
  Lane lane = Lane::foreground;         // On this machine.
  double patience = kNoHorizon;         // Seconds until others are asked, if it is silent.
  int form_tokens = 0;                  // What it reads of the answer's form, beside the prompt.
  double ttft = 0.0;                    // Seconds; local: predicted, provider: median of late.
  double ttft_p95 = 0.0;                // Of 100 first tokens 95 come within this time.
  Promise promise;                      // What it is asked to keep.
  config::NanoUsd worst_case_cost = 0;  // 0 on the local engine.
  config::NanoUsd expected_cost = 0;
};

// A target that serves the model, as it was judged: chosen or not.
struct Alternative {
  std::string_view target;
  Verdict verdict = Verdict::fits;
  double ttft = 0.0;  // Seconds; local: predicted, provider: P90 of late. 0: not judged.
  double finish = 0.0;
  double in_time = 1.0;   // The share of prompts of this length that it answers in time.
  int cached_tokens = 0;  // Of the prompt, at a provider: expected to cost what cached ones do.
  config::NanoUsd expected_cost = 0;
  bool too_dear_a_promise = false;  // It is in time often enough, for more than a promise may cost.
};

// As of its verdict, but for a promise that is too dear; static storage.
std::string_view sentence_of(const Alternative& alternative);

struct Plan {
  std::shared_ptr<const config::Settings> settings;
  const config::RequestClass* request_class = nullptr;  // Never null.
  config::Sla sla;  // The class's, tightened by the client's timeout.
  Reason reason = Reason::local_meets_sla;
  bool could_stay = false;              // The engine serves what it asks for, too.
  std::string_view rule;                // The rule that decided; empty: the class did.
  ShortList<Candidate> candidates;      // In the order to try; at least one unless it waits. A
                                        // target may come again for a retry.
  ShortList<Alternative> considered;    // For explain(): the local engine first.
  std::optional<Prediction> local;      // What the local engine would have taken, chosen or not;
                                        // empty: it was not asked, or it cannot.
  config::NanoUsd worst_case_cost = 0;  // The most that any of the candidates can cost.
  double completion_tokens = 0.0;       // Expected.
  bool at_batch_rate = false;           // It may be answered in providers' cheaper tiers.
  std::optional<Wait> wait;             // It is to be held first: there are no candidates yet.
};

// One line for the log: the class and its SLA, what was chosen and why, the engine's state, and
// each alternative with its facts and what spoke against it. Takes the arguments the plan was made
// from.
std::string explain(const Plan& plan, const RequestFacts& request, const FleetFacts& fleet);

// The same of a request that nobody takes: the error's words, and what speaks against each target.
std::string explain(const Error& refusal, std::span<const Alternative> considered);

}  // namespace spillway::policy
