#include "gateway/rollout.h"

#include "config/reload.h"
#include "gateway/guard.h"
#include "gateway/live_state.h"
#include "gateway/policy_file.h"

#include <string>
#include <utility>

namespace spillway {

using telemetry::Level;

void Rollout::take_over(std::shared_ptr<const config::Settings> settings) {
  doors_.fleet.adopt(*settings);
  doors_.waiting.adopt(settings);
  doors_.admission.limit(settings->server.limits.in_flight_max);
  doors_.log.set_level(telemetry::level_of(settings->log.level).value_or(Level::info));
  doors_.editions.set(
      std::make_shared<const Edition>(settings, providers_for(*settings), doors_.kept.keys.get()));
  doors_.metrics.config_loaded(labels(*settings), settings->sha256);
  shadow_file_.name(*settings);
}

// Parse, check, run the policy's tests, try it on the last decisions, swap.
Result<Rehearsed> Rollout::reload(bool force) {
  std::lock_guard lock(reloading_);
  const auto in_force = doors_.editions.get();
  const config::Loaded loaded = load_policy(in_force->settings->source);
  if (!loaded.settings) return refuse(loaded);
  if (*loaded.settings == *in_force->settings) {
    remember("");
    return Rehearsed{};
  }
  const Rehearsed rehearsed =
      doors_.rehearsal.run(in_force->router, policy::Router(loaded.settings));
  const std::string against = objections(rehearsed, in_force->settings->guard);
  remember(force ? "" : against);
  if (!against.empty() && !force) return refuse(against);
  for (const std::string& key : config::restart_needed(*started_with_, *loaded.settings)) {
    doors_.log.event(Level::warn, "takes effect at the next start", {{"key", key}});
  }
  take_over(loaded.settings);
  tell(*loaded.settings, rehearsed);
  return rehearsed;
}

Error Rollout::refuse(const config::Loaded& loaded) {
  doors_.metrics.config_refused();
  for (const config::Problem& problem : loaded.problems) {
    doors_.log.event(Level::error, "configuration refused, the one before stays in force",
                     {{"problem", config::to_string(problem)}});
  }
  return {Errc::invalid_request, config::to_string(loaded.problems.front()), "", std::nullopt};
}

Error Rollout::refuse(const std::string& objections) {
  doors_.metrics.config_guarded();
  doors_.log.event(Level::error, "configuration guarded against, the one before stays in force",
                   {{"objections", objections}});
  const std::string way =
      ". If that is meant: spillway rollout reload --force, or POST "
      "/reload?force=true; the limits are those in force.";
  return {Errc::invalid_request, objections + way, "", std::nullopt};
}

// A provider whose settings did not change keeps its backends.
Providers Rollout::providers_for(const config::Settings& settings) const {
  const auto before = doors_.editions.get();
  Providers providers;
  for (const config::ProviderTarget& target : settings.providers) {
    const config::ProviderTarget* known = nullptr;
    if (before) {
      for (const auto& old : before->settings->providers) {
        if (old == target) known = &old;
      }
    }
    auto& servers = providers[target.name];
    if (known) servers = before->providers.find(target.name)->second;
    while (servers.size() < target.base_urls.size())
      servers.push_back(doors_.dial(target, servers.size()));
  }
  return providers;
}

// Tenants are also those of keys that operators made.
telemetry::ClosedSets Rollout::labels(const config::Settings& settings) const {
  telemetry::ClosedSets sets = label_sets(settings);
  for (const auto& made : doors_.kept.keys->all()) sets.tenants.push_back(made->key.tenant);
  return sets;
}

void Rollout::know_tenants() { doors_.metrics.know(labels(*doors_.editions.get()->settings)); }

RolloutState Rollout::state() const {
  RolloutState state;
  state.sha256 = doors_.editions.get()->settings->sha256;
  state.shadow = doors_.shadow.state();
  const std::lock_guard lock(guarded_mutex_);
  state.guarded = guarded_;
  return state;
}

void Rollout::remember(std::string objections) {
  const std::lock_guard lock(guarded_mutex_);
  guarded_ = std::move(objections);
}

void Rollout::tell(const config::Settings& settings, const Rehearsed& rehearsed) {
  doors_.log.event(Level::info, "configuration taken over",
                   {{"sha256", settings.sha256},
                    {"rehearsed", static_cast<std::int64_t>(rehearsed.decisions)},
                    {"moved", static_cast<std::int64_t>(rehearsed.moved)},
                    {"nano_usd_before", rehearsed.cost_before},
                    {"nano_usd_after", rehearsed.cost_after}});
  if (rehearsed.stranded == 0) return;
  doors_.log.event(Level::warn, "requests that went somewhere of late may go nowhere now",
                   {{"requests", static_cast<std::int64_t>(rehearsed.stranded)},
                    {"example", rehearsed.example}});
}

}  // namespace spillway
