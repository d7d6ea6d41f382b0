#include "gateway/policy/refusal.h"

#include "gateway/policy/judge.h"
#include "gateway/policy/predict.h"
#include "gateway/policy/takes.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

namespace spillway::policy {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSoonest{100};
constexpr milliseconds kLatest{60'000};
constexpr milliseconds kWhenBusy{1'000};      // A place in a provider's concurrency comes free.
constexpr milliseconds kWhenNotReady{5'000};  // An engine loads or restarts.

milliseconds until(TimePoint when, TimePoint now) {
  return std::chrono::ceil<milliseconds>(std::max(when, now) - now);
}

// When the first of those who wait is admitted, there is room behind them.
milliseconds until_queue_moves(const RequestFacts& request, const FleetFacts& fleet) {
  const Ask ask{request.prompt_tokens, 1.0, fleet.answer_length.typical(), Lane::foreground,
                fleet.answer_length.remaining()};
  const Prediction prediction = predict(*fleet.local, ask, fleet.ttft_correction,
                                        std::chrono::duration<double>(kLatest).count());
  if (!std::isfinite(prediction.queue_moves)) return kLatest;
  return milliseconds(std::llround(std::ceil(1'000.0 * prediction.queue_moves)));
}

milliseconds wait_for(const Alternative& alternative, const config::Settings& settings,
                      const RequestFacts& request, const FleetFacts& fleet) {
  if (alternative.verdict == Verdict::queue_full) return until_queue_moves(request, fleet);
  if (alternative.verdict == Verdict::not_ready) return kWhenNotReady;
  for (std::size_t i = 0; i < settings.providers.size(); ++i) {
    if (settings.providers[i].name != alternative.target) continue;
    const ProviderFacts facts = facts_of(settings.providers[i], i, fleet);
    if (alternative.verdict == Verdict::rate_limited) return until(*facts.limited_until, fleet.now);
    // Past its time it waits for the probe under way.
    if (facts.open_until > fleet.now) return until(facts.open_until, fleet.now);
  }
  return kWhenBusy;
}

bool is_full(Verdict verdict) {
  return verdict == Verdict::queue_full || verdict == Verdict::busy ||
         verdict == Verdict::rate_limited;
}

bool meets(const config::Settings& settings, std::string_view target, const RequestFacts& request,
           const FleetFacts& fleet, const NeedWords& words) {
  for (const config::ProviderTarget& one : settings.providers) {
    if (one.name != target) continue;
    return serves(one, request.asks) && takes(one, words, request.beyond);
  }
  if (!writes(request.asks) || fleet.local == nullptr) return false;
  const bool is_of_drafts = words.need == Need::choices && has(request.needs, Need::drafts);
  return !is_of_drafts && has(fleet.local->takes(), words.need);
}

std::string_view field_of(const NeedWords& words, const RequestFacts& request) {
  for (const FieldNeed& one : request.beyond) {
    if (one.need == words.need) return one.field;
  }
  return words.field;
}

bool any_is(const Plan& plan, Verdict verdict) {
  return std::any_of(plan.considered.begin(), plan.considered.end(),
                     [verdict](const Alternative& one) { return one.verdict == verdict; });
}

void append_places(std::string& text, std::string_view whose, std::string_view name,
                   const std::vector<std::string>& places) {
  if (places.empty()) return;
  text += text.empty() ? "" : ", and ";
  for (std::size_t i = 0; i < places.size(); ++i) text += (i > 0 ? " or " : "") + places[i];
  text += " (" + std::string(whose) + " `" + std::string(name) + "`)";
}

Error not_resident(const Plan& plan, const RequestFacts& request) {
  const config::RequestClass& request_class = *plan.request_class;
  std::string places;
  append_places(places, "class", request_class.name, request_class.residency);
  if (request.key) append_places(places, "key", request.key->name, request.key->residency);
  return Error{.code = Errc::forbidden,
               .message = "This request's data may only go to targets whose residency is " +
                          places +
                          ", and none of these can answer it here. Ask for another model "
                          "or class, or have the targets' `residency` say where data stays.",
               .param = "model"};
}

// The first need that nobody has anything for.
Error incapable(const config::Settings& settings, const Plan& plan, const RequestFacts& request,
                const FleetFacts& fleet) {
  Error error{.code = Errc::invalid_request, .message = "", .param = "model"};
  for (const NeedWords& words : kNeeds) {
    const bool is_met =
        !has(request.needs, words.need) ||
        std::any_of(plan.considered.begin(), plan.considered.end(),
                    [&](const Alternative& alternative) {
                      return meets(settings, alternative.target, request, fleet, words);
                    });
    if (is_met) continue;
    error.message = "Nobody who serves this model here takes " + std::string(words.name) + ".";
    error.param = field_of(words, request);
    return error;
  }
  if (any_is(plan, Verdict::not_resident)) return not_resident(plan, request);
  if (request.needs != Need::nothing) {
    error.message = "Nobody who serves this model here takes all that is asked for at once.";
  } else {
    error.message = "Nobody serves this model for " + std::string(name_of(request.asks)) + " here.";
  }
  return error;
}

Error unfit(const config::Settings& settings, const Plan& plan, const RequestFacts& request,
            const FleetFacts& fleet) {
  const Verdict verdict = plan.considered.empty() ? Verdict::fits : plan.considered.front().verdict;
  const bool stays_resident = any_is(plan, Verdict::not_resident);
  if (verdict == Verdict::too_long && !stays_resident) {
    const int most = std::min(
        fleet.local->context_max > 0 ? fleet.local->context_max : fleet.local->kv_tokens_total,
        fleet.local->kv_tokens_total);
    return Error{.code = Errc::context_too_long,
                 .message = "This model takes at most " + std::to_string(most) +
                            " tokens of prompt and answer together; the request has " +
                            std::to_string(request.prompt_to_fit()) + " and asks for up to " +
                            std::to_string(request.completion_tokens_max.value_or(1)) + " more.",
                 .param = "messages"};
  }
  if (verdict == Verdict::incapable) return incapable(settings, plan, request, fleet);
  if (any_is(plan, Verdict::too_dear))
    return Error{.code = Errc::no_route,
                 .message = std::string("Whoever could answer this request costs more than ") +
                            (plan.rule.empty() ? "its class pays: price_max."
                                               : "the policy's rules pay: max_price.")};
  if (stays_resident) return not_resident(plan, request);
  return Error{.code = Errc::no_route,
               .message = plan.rule.empty()
                              ? "The policy leaves no target for this request's class."
                              : "The policy's rules leave no target for this request."};
}

}  // namespace

bool is_final(Verdict verdict) {
  return verdict == Verdict::too_long || verdict == Verdict::incapable ||
         verdict == Verdict::not_in_class || verdict == Verdict::other_model ||
         verdict == Verdict::not_resident || verdict == Verdict::account_refused ||
         verdict == Verdict::not_in_rule || verdict == Verdict::too_dear || can_take(verdict);
}

Error refusal_of(const config::Settings& settings, const Plan& plan, const RequestFacts& request,
                 const FleetFacts& fleet) {
  std::optional<milliseconds> wait;
  bool full = false;
  bool account_refused = false;
  for (const Alternative& alternative : plan.considered) {
    account_refused = account_refused || alternative.verdict == Verdict::account_refused;
    if (is_final(alternative.verdict)) continue;
    const milliseconds own = wait_for(alternative, settings, request, fleet);
    wait = wait ? std::min(*wait, own) : own;
    full = full || is_full(alternative.verdict);
  }
  if (!wait && account_refused)
    return Error{.code = Errc::account_refused,
                 .message =
                     "Who serves this model does not accept the gateway's account there: "
                     "its operator must see to it."};
  if (!wait) return unfit(settings, plan, request, fleet);
  return Error{.code = full ? Errc::overloaded : Errc::no_route,
               .message = full ? "Everybody who may serve this request is busy. Try again later."
                               : "Nobody who may serve this request is up. Try again later.",
               .retry_after = std::clamp(*wait, kSoonest, kLatest)};
}

Error refuse_to_leave(std::string_view model) {
  return Error{.code = Errc::forbidden,
               .message = "This request may not leave this machine, and the model `" +
                          std::string(model) + "` is not served here.",
               .param = "model"};
}

std::string_view word_of(const Error& refusal) {
  const bool by_rule = refusal.code == Errc::forbidden && !refusal.rule.empty();
  return by_rule ? "refused_by_policy" : name_of(refusal.code);
}

}  // namespace spillway::policy
