#include "gateway/observation.h"

#include "gateway/encoders.h"
#include "gateway/live_state.h"

namespace spillway {

void Observation::tell(const Receipt& receipt) const {
  of_.metrics.count(receipt);
  of_.log.request(receipt);
  for (const Attempt& attempt : receipt.attempts) {
    if (attempt.paused) tell_of_pause(attempt);
  }
  of_.decisions.record(receipt);
  of_.rollout.ended(receipt);
}

void Observation::tell_of_pause(const Attempt& attempt) const {
  const bool is_account = attempt.failure == Errc::account_refused;
  const auto level = is_account ? telemetry::Level::error : telemetry::Level::warn;
  const auto* const what = is_account ? "a provider does not accept the gateway's account"
                                      : "a target fails and is left alone for a while";
  of_.log.event(level, what,
                {{"target", attempt.server.empty() ? attempt.target
                                                   : attempt.target + " at " + attempt.server},
                 {"cause", telemetry::without_its_words(attempt.cause)}});
}

telemetry::LiveState Observation::live_state() const {
  const bool loaded = of_.phase != Phase::loading;  // Until then much is still being made.
  telemetry::LiveState state;
  state.admitted = of_.admission.in_flight();
  state.held = of_.waiting.size();
  state.held_pressure = of_.waiting.pressure();
  add_terms(state);
  if (loaded) add_stored(*of_.kept.cabinet->shelf, of_.kept.batches->gauges(), state);
  for (const ProviderGauges& provider : of_.fleet.gauges()) {
    state.targets.push_back(target_state(provider));
    add_servers(provider, state);
  }
  if (loaded) add_engine(state);
  state.listeners = {listener_state("api", of_.api.counters()),
                     listener_state("admin", of_.admin.counters())};
  state.log_dropped = of_.log.dropped();
  state.limits = limit_states(of_.limiter);
  state.repeats = repeat_state(of_.repeats.counts());
  state.shadow = shadow_counts(of_.shadow.state());
  state.canary = canary_counts(of_.rollout.canary());
  state.watches = watch_counts(of_.rollout.watch());
  if (!of_.kept.account) return state;
  state.ledger = ledger_state(of_.kept.account->store(), of_.kept.account->ledger());
  if (const auto edition = of_.editions.get())
    state.budgets = budget_states(*edition->settings, of_.kept.account->tenants());
  return state;
}

void Observation::add_terms(telemetry::LiveState& state) const {
  const auto edition = of_.editions.get();
  if (!edition) return;
  const auto come_to = of_.fleet.class_terms();
  for (const config::RequestClass& one : edition->settings->policy.classes) {
    const policy::ClassTerms terms = policy::terms_of(one, come_to);
    state.terms.push_back({one.name, terms.ttft_headroom, terms.promise_price});
  }
}

void Observation::add_engine(telemetry::LiveState& state) const {
  if (of_.started_with->local.empty()) return;
  const config::LocalTarget& target = of_.started_with->local.front();
  const EngineStatus status = of_.engine ? of_.engine->status() : EngineStatus{};
  state.targets.push_back(target_state(target.name, status));
  if (!of_.engine) return;
  state.engines.push_back({target.name, target.serves.front().name, status, of_.engine->counters(),
                           of_.engine->restarts()});
}

// Without the engine the providers serve, if there are any; without the book only the engine, which
// costs nothing.
std::vector<std::string> Observation::unready() const {
  if (of_.phase == Phase::loading) return {"the local model is being loaded"};
  if (of_.phase == Phase::draining) return {"draining"};
  const bool books = !of_.kept.account || of_.kept.account->writable();
  if (!books && !of_.engine) return {"nothing can be booked: the ledger's database fails"};
  if (!of_.engine || has_clouds(*of_.editions.get()->settings)) return {};
  const std::string obstacle = of_.engine->obstacle();
  return obstacle.empty() ? std::vector<std::string>() : std::vector{obstacle};
}

std::vector<std::string> Observation::impaired() const {
  if (of_.phase == Phase::loading) return {};
  std::vector<std::string> all;
  if (of_.engine) {
    const std::string obstacle = of_.engine->obstacle();
    const std::string lost = lost_replicas(of_.engine->status());
    const std::string& trouble = obstacle.empty() ? lost : obstacle;
    if (!trouble.empty()) all.push_back(trouble);
  }
  for (const ProviderGauges& provider : of_.fleet.gauges()) {
    if (provider.facts.permission == policy::Permission::open)
      all.push_back("`" + provider.facts.name + "` failed of late and is left alone for a while");
  }
  return all;
}

}  // namespace spillway
