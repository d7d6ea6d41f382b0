#include "gateway/policy/plan.h"

namespace spillway::policy {

std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::local_meets_sla: return "local_meets_sla";
    case Reason::local_lets_pass: return "local_lets_pass";
    case Reason::spill_ttft: return "spill_ttft";
    case Reason::spill_per_token: return "spill_per_token";
    case Reason::spill_deadline: return "spill_deadline";
    case Reason::spill_queue_full: return "spill_queue_full";
    case Reason::spill_engine_down: return "spill_engine_down";
    case Reason::capability: return "capability";
    case Reason::class_always_cloud: return "class_always_cloud";
    case Reason::class_never_spills: return "class_never_spills";
    case Reason::local_only: return "local_only";
    case Reason::model_fixed: return "model_fixed";
    case Reason::not_served_locally: return "not_served_locally";
    case Reason::promise_forgone: return "promise_forgone";
    case Reason::least_late: return "least_late";
    case Reason::last_resort: return "last_resort";
    case Reason::spill_worth: return "spill_worth";
    case Reason::waits: return "waits";
    case Reason::engine_has_room: return "engine_has_room";
    case Reason::spill_due: return "spill_due";
    case Reason::held_full: return "held_full";
    case Reason::rule: return "rule";
    case Reason::handed_over: return "handed_over";
  }
  return "";
}

std::string_view sentence_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::fits: return "meets the SLA";
    case Verdict::misses_ttft: return "first token too late";
    case Verdict::misses_per_token: return "tokens too slow";
    case Verdict::misses_deadline: return "last token too late";
    case Verdict::queue_full: return "queue full";
    case Verdict::busy: return "concurrency used up";
    case Verdict::rate_limited: return "rate limited";
    case Verdict::breaker_open: return "breaker open";
    case Verdict::account_refused: return "refuses the gateway's account";
    case Verdict::not_ready: return "engine not ready";
    case Verdict::too_long: return "longer than its context";
    case Verdict::incapable: return "takes plain text only";
    case Verdict::not_in_class: return "not for this class";
    case Verdict::other_model: return "not of the class's architectures";
    case Verdict::not_resident: return "its data would leave where class and key keep it";
    case Verdict::not_in_rule: return "not among the rule's targets";
    case Verdict::too_dear: return "dearer than class or rule pay";
  }
  return "";
}

std::string_view sentence_of(const Alternative& alternative) {
  return alternative.too_dear_a_promise ? "dearer than promise_price_max"
                                        : sentence_of(alternative.verdict);
}

}  // namespace spillway::policy
