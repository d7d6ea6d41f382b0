// The part of Rollout that watches a policy once all keys have it.
#include "config/named.h"
#include "gateway/reload/revocation.h"
#include "gateway/reload/rollout.h"

#include <string>
#include <utility>

namespace spillway {

using telemetry::Level;

namespace {

// Keys or tenants that would be gone, were the settings before to come back.
bool brings_any(const config::Settings& now, const config::Settings& before) {
  const auto less = with_less(before, now.keys);
  return now.tenants != before.tenants || now.keys != (less ? less->keys : before.keys);
}

// Data may not go any longer where the settings before would let it go.
bool keeps_data_from_some(const config::Settings& now, const config::Settings& before) {
  for (const config::ProviderTarget& then : before.providers) {
    const auto* const provider = config::named(now.providers, then.name);
    if (provider == nullptr || provider->residency != then.residency) return true;
  }
  for (const config::RequestClass& then : before.policy.classes) {
    const auto* const one = config::named(now.policy.classes, then.name);
    if (one == nullptr) continue;
    const bool stays = one->spill == config::Spill::never && then.spill != config::Spill::never;
    if (one->residency != then.residency || stays) return true;
  }
  return false;
}

}  // namespace

void Rollout::take_over_watched(const std::shared_ptr<const config::Settings>& settings,
                                const std::string& sha256, bool may_come_back) {
  Probation::Before before{doors_.editions.get(), rolled_back_.text_in_force()};
  const config::Settings& then = *before.edition->settings;
  const bool decides = decides_otherwise(*settings, then);
  const bool brings_callers = brings_any(*settings, then);
  if (decides || brings_callers || !may_come_back)
    (void)end_watch(WatchEnd::withdrawn, "another file has come");
  const bool is_watched = decides && may_come_back && then.rollback.enabled;
  const bool keeps_data = keeps_data_from_some(*settings, then);
  if (is_watched && brings_callers)
    doors_.log.event(Level::info, "the policy is not watched: new keys or tenants came with it");
  if (is_watched && keeps_data)
    doors_.log.event(Level::info, "the policy is not watched: it keeps data from where it went");
  if (!is_watched || brings_callers || keeps_data) return take_over(settings, sha256, std::nullopt);
  doors_.editions.watch(before.edition);
  const config::Rollback terms = then.rollback;
  take_over(settings, sha256, Probation::Watch{settings->sha256, std::move(before), terms});
}

// What comes back are the settings before, less what has been taken from keys since.
Result<void> Rollout::end_watch(WatchEnd end, const std::string& why) {
  const auto before = probation_.stop();
  if (!before)
    return Error{Errc::invalid_request, "there is no canary, nor is a policy watched", "",
                 std::nullopt};
  doors_.editions.watch(nullptr);
  const auto watched = doors_.editions.get()->settings;
  if (end == WatchEnd::rolled_back) {
    (void)end_trial(CanaryEnd::withdrawn, "the policy in force was rolled back");
    keep_rolled_back(watched, sha256_in_force_, before->text);
    const auto& then = before->edition->settings;
    const auto less = with_less(*then, watched->keys);
    take_over(less ? less : then, sha256_in_force_, std::nullopt);
  }
  probation_.conclude(end, why);
  doors_.log.event(end == WatchEnd::rolled_back ? Level::error : Level::info,
                   "a policy is watched no more",
                   {{"sha256", watched->sha256}, {"end", std::string(name_of(end))}, {"why", why}});
  return {};
}

}  // namespace spillway
