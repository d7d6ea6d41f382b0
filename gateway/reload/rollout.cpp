#include "gateway/reload/rollout.h"

#include "config/digest.h"
#include "config/reload.h"
#include "gateway/reload/guard.h"
#include "gateway/reload/label_sets.h"
#include "gateway/reload/policy_file.h"
#include "gateway/reload/revocation.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <variant>

namespace spillway {

using telemetry::Level;

namespace {

constexpr std::size_t kBytesMax = 16 << 20;  // Of a file.
constexpr const char* kRolledBack =
    "its policy is the one that was rolled back, and stays so; reloaded once more it is tried "
    "again";

// Why it cannot be tried on some keys beside the one in force; empty: it can.
std::string untriable(const config::Settings& tried, const config::Settings& in_force) {
  if (tried.keys != in_force.keys || tried.tenants != in_force.tenants)
    return "new keys and tenants are no policy: bring them in a reload of their own, before it";
  for (const config::ProviderTarget& target : tried.providers) {
    for (const config::ProviderTarget& known : in_force.providers) {
      if (known.name == target.name && known != target)
        return "provider '" + target.name +
               "' would be another for all: give it another name to try it beside the one in force";
    }
  }
  return "";
}

// Who would be asked and could not answer; empty: nobody.
std::string not_loaded(const config::Settings& now, const config::Settings& started_with) {
  const auto names = config::encoders_to_load(started_with, now);
  return names.empty() ? "" : "encoder '" + names.front() + "' can be loaded at a start only";
}

// The settings in force with the providers that only the canary has.
config::Settings both(const config::Settings& in_force, const config::Settings& canary) {
  config::Settings all = in_force;
  for (const config::ProviderTarget& target : canary.providers) {
    const bool known = std::any_of(in_force.providers.begin(), in_force.providers.end(),
                                   [&](const auto& one) { return one.name == target.name; });
    if (!known) all.providers.push_back(target);
  }
  return all;
}

// What a trial compares are this process's own secrets; others are not needed to decide.
std::optional<std::string> known_secret(const std::string& name) {
  const auto known = config::process_environment()(name);
  return known ? known : unneeded_secret(name);
}

// Each of them still holds the bytes that were read of it.
bool are_as_read(const config::FilesRead& files) {
  return std::all_of(files.begin(), files.end(), [](const auto& file) {
    const auto bytes = config::read_bounded(file.first, kBytesMax);
    const auto* text = std::get_if<std::string>(&bytes);
    return text != nullptr && config::sha256_hex(*text) == file.second;
  });
}

std::string digest_of(const std::string& path, const config::FilesRead& files) {
  const auto read = files.find(path);
  return read == files.end() ? "" : read->second;
}

}  // namespace

bool decides_otherwise(const config::Settings& now, const config::Settings& before) {
  return !(now.policy == before.policy && now.providers == before.providers);
}

void Rollout::take_over(std::shared_ptr<const config::Settings> settings) {
  take_over(settings, digest_of(settings->source, files()), std::nullopt);
}

void Rollout::take_over(const std::shared_ptr<const config::Settings>& settings,
                        const std::string& sha256, std::optional<Probation::Watch> watch) {
  const auto before = doors_.editions.get();
  const bool decides = !before || decides_otherwise(*settings, *before->settings);
  if (decides) probation_.take_over(++policies_, std::move(watch));
  sha256_in_force_ = sha256;
  rolled_back_.in_force(settings->source, sha256);
  doors_.fleet.adopt(*settings);
  doors_.waiting.adopt(settings);
  doors_.admission.limit(settings->server.limits.in_flight_max);
  doors_.log.set_level(telemetry::level_of(settings->log.level).value_or(Level::info));
  const std::uint64_t policy = decides ? policies_ : before->policy;
  doors_.editions.set(std::make_shared<const Edition>(settings, providers_for(*settings),
                                                      doors_.kept.keys.get(), policy));
  doors_.metrics.config_loaded(labels(*settings), settings->sha256);
  shadow_file_.name(*settings);
}

Result<Reloaded> Rollout::reload(bool force) {
  std::lock_guard lock(reloading_);
  return read_again(force);
}

// What an operator had read, and what has been rolled back since, is not tried once more.
void Rollout::files_changed() {
  std::lock_guard lock(reloading_);
  if (!are_as_read(files())) (void)read_again(false);
}

// Parse, check, run the policy's tests, try it on the last decisions, swap.
Result<Reloaded> Rollout::read_again(bool force) {
  const config::Loaded loaded =
      beside_made_keys(load_policy(doors_.editions.get()->settings->source));
  know_files(loaded.files);
  if (loaded.keys) revoke(*loaded.keys);
  if (!loaded.settings) return refuse(loaded);
  const std::string sha256 = digest_of(loaded.settings->source, loaded.files);
  tell_doubts(loaded);
  const auto in_force = doors_.editions.get();
  if (*loaded.settings == *in_force->settings) {
    remember("");
    rolled_back_.forget();
    (void)end_trial(CanaryEnd::withdrawn, "the file says again what is in force");
    if (force) (void)end_watch(WatchEnd::withdrawn, "an operator says that it is meant");
    return Reloaded{};
  }
  if (!force && stays_rolled_back(*loaded.settings)) {
    keep_rolled_back(loaded.settings, sha256, rolled_back_.text_in_force());
    remember(kRolledBack);
    return refuse(kRolledBack);
  }
  const auto tried = trial_.edition();
  if (tried && *loaded.settings == *tried->settings) return Reloaded{{}, trial_.state().share};
  const Rehearsed rehearsed =
      doors_.rehearsal.run(in_force->router, policy::Router(loaded.settings));
  const double share = in_force->settings->canary.share;
  const bool is_tried =
      !force && share > 0.0 && decides_otherwise(*loaded.settings, *in_force->settings);
  const std::string against = against_reload(*loaded.settings, *in_force->settings, rehearsed);
  remember(force ? "" : against);
  if (!against.empty() && !force) return refuse(against);
  for (const std::string& key : config::restart_needed(*started_with_, *loaded.settings)) {
    doors_.log.event(Level::warn, "takes effect at the next start", {{"key", key}});
  }
  (void)end_trial(CanaryEnd::withdrawn, "another file has come");
  if (is_tried) {
    tell("configuration to be tried as a canary", *loaded.settings, rehearsed);
    tried_sha256_ = sha256;
    try_out(loaded.settings, *in_force->settings);
    return Reloaded{rehearsed, share};
  }
  tell("configuration taken over", *loaded.settings, rehearsed);
  rolled_back_.forget();
  take_over_watched(loaded.settings, sha256, !force);
  return Reloaded{rehearsed};
}

Result<Tried> Rollout::rehearse(std::string_view text) const {
  const auto in_force = doors_.editions.get();
  const config::Loaded loaded =
      beside_made_keys(load_policy_text(text, in_force->settings->source, known_secret));
  if (!loaded.settings) {
    const std::string problem = config::to_string(loaded.problems.front());
    return Error{Errc::invalid_request, problem, "", std::nullopt};
  }
  Tried tried;
  tried.rehearsal = doors_.rehearsal.run(in_force->router, policy::Router(loaded.settings));
  const auto less = loaded.keys ? with_less(*in_force->settings, *loaded.keys) : nullptr;
  tried.objections =
      against_reload(*loaded.settings, less ? *less : *in_force->settings, tried.rehearsal);
  return tried;
}

config::Loaded Rollout::beside_made_keys(config::Loaded loaded) const {
  if (!loaded.settings) return loaded;
  const auto free = doors_.kept.keys->check_configured(loaded.settings->keys);
  if (free) return loaded;
  loaded.settings = nullptr;
  loaded.problems.push_back({.message = free.error().message});
  return loaded;
}

// Empty: nothing is.
std::string Rollout::against_reload(const config::Settings& settings,
                                    const config::Settings& in_force,
                                    const Rehearsed& rehearsed) const {
  std::string against = objections(rehearsed, in_force.guard);
  if (against.empty()) against = not_loaded(settings, *started_with_);
  const double share = in_force.canary.share;
  if (!against.empty() || share <= 0.0 || !decides_otherwise(settings, in_force)) return against;
  against = untriable(settings, in_force);
  return against.empty() ? one_sided(settings, share) : against;
}

void Rollout::look_again() {
  std::lock_guard lock(reloading_);
  const auto in_force = doors_.editions.get()->settings;
  const config::Loaded loaded = load_policy(in_force->source);
  if (loaded.settings && loaded.settings->sha256 == in_force->sha256) tell_doubts(loaded);
}

void Rollout::tell_doubts(const config::Loaded& loaded) {
  std::set<std::string> doubts;
  for (const config::Problem& doubt : loaded.warnings) doubts.insert(config::to_string(doubt));
  for (const std::string& doubt : doubts) {
    if (!doubts_.contains(doubt))
      doors_.log.event(Level::warn, "hardly meant in the configuration", {{"problem", doubt}});
  }
  doubts_ = std::move(doubts);
}

void Rollout::try_out(const std::shared_ptr<const config::Settings>& settings,
                      const config::Settings& in_force) {
  const config::Canary& terms = in_force.canary;
  auto edition = std::make_shared<const Edition>(settings, providers_for(*settings),
                                                 doors_.kept.keys.get(), ++policies_);
  doors_.fleet.adopt(both(in_force, *settings));
  doors_.metrics.know(labels(*settings));
  trial_.begin(++trials_, edition, terms);
  doors_.editions.try_out(std::move(edition), terms.share, trials_);
  const int keys = keys_among(*settings, terms.share);
  doors_.log.event(Level::info, "a canary is tried",
                   {{"sha256", settings->sha256},
                    {"share", terms.share},
                    {"keys", static_cast<std::int64_t>(keys)}});
}

Result<void> Rollout::end_trial(CanaryEnd end, const std::string& why) {
  const auto edition = trial_.edition();
  if (!edition) return Error{Errc::invalid_request, "there is no canary", "", std::nullopt};
  if (end == CanaryEnd::promoted) {
    rolled_back_.forget();
    take_over_watched(edition->settings, tried_sha256_, true);
  } else {
    if (end == CanaryEnd::rolled_back)
      keep_rolled_back(edition->settings, tried_sha256_, rolled_back_.text_in_force());
    doors_.editions.end_trial();
    doors_.fleet.adopt(*doors_.editions.get()->settings);
  }
  trial_.end(end, why);
  doors_.log.event(
      end == CanaryEnd::rolled_back ? Level::error : Level::info, "a canary has ended",
      {{"sha256", edition->settings->sha256}, {"end", std::string(name_of(end))}, {"why", why}});
  return {};
}

// At once, for everybody.
void Rollout::revoke(const std::vector<config::Key>& keys) {
  const auto tried = trial_.edition();
  const auto less_of = [&](const std::shared_ptr<const Edition>& one) {
    const auto less = one ? with_less(*one->settings, keys) : nullptr;
    if (!less) return std::shared_ptr<const Edition>();
    return std::make_shared<const Edition>(less, one->providers, doors_.kept.keys.get(),
                                           one->policy);
  };
  const auto in_force = less_of(doors_.editions.get());
  const auto canary = less_of(tried);
  if (!in_force && !canary) return;
  if (canary) trial_.exchange(canary);
  doors_.editions.exchange(in_force, canary);
  doors_.log.event(Level::info, "what the configuration takes away from keys is gone",
                   {{"keys", static_cast<std::int64_t>(keys.size())}});
}

// What else is new in its file waits until it is tried again.
bool Rollout::stays_rolled_back(const config::Settings& settings) const {
  const config::Settings* tried = rolled_back_.tried();
  return tried != nullptr && settings != *tried && !decides_otherwise(settings, *tried);
}

void Rollout::keep_rolled_back(const std::shared_ptr<const config::Settings>& tried,
                               const std::string& sha256, const std::string& in_its_place) {
  const auto kept = rolled_back_.keep(tried, sha256, in_its_place);
  if (!kept)
    doors_.log.event(Level::error, "a start would bring back what was rolled back",
                     {{"cause", kept.error().message}});
}

Result<void> Rollout::promote() {
  std::lock_guard lock(reloading_);
  return end_trial(CanaryEnd::promoted, "an operator has said so");
}

Result<void> Rollout::roll_back() {
  std::lock_guard lock(reloading_);
  constexpr const char* kWhy = "an operator has said so";
  if (trial_.edition()) return end_trial(CanaryEnd::rolled_back, kWhy);
  return end_watch(WatchEnd::rolled_back, kWhy);
}

void Rollout::ended(const Receipt& receipt) {
  if (auto ruling = trial_.ended(receipt)) {
    doors_.later([this, ruling = std::move(*ruling)] {
      std::lock_guard lock(reloading_);
      if (trial_.number() == ruling.number) (void)end_trial(ruling.end, ruling.why);
    });
  }
  if (auto ruling = probation_.ended(receipt)) {
    doors_.later([this, ruling = std::move(*ruling)] {
      std::lock_guard lock(reloading_);
      if (probation_.policy() == ruling.policy) (void)end_watch(ruling.end, ruling.why);
    });
  }
}

int Rollout::keys_among(const config::Settings& settings, double share) const {
  const auto among = [share](const config::Key& key) { return place_of(key) < share; };
  auto count = std::count_if(settings.keys.begin(), settings.keys.end(), among);
  for (const auto& made : doors_.kept.keys->all()) count += among(made->key) ? 1 : 0;
  return static_cast<int>(count);
}

// Without keys requests are divided, and there are always enough of these.
std::string Rollout::one_sided(const config::Settings& settings, double share) const {
  const int all = keys_among(settings, 1.0), some = keys_among(settings, share);
  if (all == 0 || (some > 0 && some < all)) return "";
  return std::string(some == 0 ? "none" : "all") + " of the " + std::to_string(all) +
         " keys would be under the canary: change canary.share";
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
    const std::size_t count = target.is_here() ? 1 : target.base_urls.size();
    while (servers.size() < count) servers.push_back(doors_.dial(target, servers.size()));
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

void Rollout::know_files(config::FilesRead files) {
  const std::lock_guard lock(files_mutex_);
  files_ = std::move(files);
}

config::FilesRead Rollout::files() const {
  const std::lock_guard lock(files_mutex_);
  return files_;
}

RolloutState Rollout::state() const {
  RolloutState state;
  state.sha256 = doors_.editions.get()->settings->sha256;
  state.shadow = doors_.shadow.state();
  state.canary = trial_.state();
  state.watch = probation_.state();
  const std::lock_guard lock(guarded_mutex_);
  state.guarded = guarded_;
  return state;
}

void Rollout::remember(std::string objections) {
  const std::lock_guard lock(guarded_mutex_);
  guarded_ = std::move(objections);
}

void Rollout::tell(std::string_view message, const config::Settings& settings,
                   const Rehearsed& rehearsed) {
  doors_.log.event(Level::info, message,
                   {{"sha256", settings.sha256},
                    {"rehearsed", static_cast<std::int64_t>(rehearsed.decisions)},
                    {"moved", static_cast<std::int64_t>(rehearsed.moved)},
                    {"nano_usd_before", rehearsed.cost_before},
                    {"nano_usd_after", rehearsed.cost_after}});
  if (rehearsed.unauthenticated > 0)
    doors_.log.event(Level::warn, "keys that asked of late are in the configuration no more",
                     {{"requests", static_cast<std::int64_t>(rehearsed.unauthenticated)}});
  if (rehearsed.stranded == 0) return;
  doors_.log.event(Level::warn, "requests that went somewhere of late may go nowhere now",
                   {{"requests", static_cast<std::int64_t>(rehearsed.stranded)},
                    {"example", rehearsed.example}});
}

}  // namespace spillway
