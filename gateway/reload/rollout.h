// How one configuration takes the place of another: read, checked, tried on the last decisions and
// held against the guard of the one in force, then tried on some keys, then the edition in force
// itself, and watched for a while.
//
// `take_over`: the owner's thread, once. The rest: any thread; reloads come one after the other.
// Owns nothing but the settings that the process began with.
#pragma once

#include "backends/contract/error.h"
#include "config/bounded_file.h"
#include "config/load.h"
#include "config/settings.h"
#include "gateway/fleet/edition.h"
#include "gateway/fleet/fleet.h"
#include "gateway/fleet/waiting.h"
#include "gateway/kept_state.h"
#include "gateway/policy/admission.h"
#include "gateway/reload/probation.h"
#include "gateway/reload/rehearsal.h"
#include "gateway/reload/rolled_back.h"
#include "gateway/reload/rollout_state.h"
#include "gateway/reload/shadow.h"
#include "gateway/reload/shadow_file.h"
#include "gateway/reload/trial.h"
#include "gateway/telemetry/log.h"
#include "gateway/telemetry/metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// Another policy, or other providers.
bool decides_otherwise(const config::Settings& now, const config::Settings& before);

class Rollout {
 public:
  // Who learns of a new edition. All outlive it.
  struct Doors {
    CurrentEdition& editions;
    Fleet& fleet;
    WaitingRoom& waiting;
    policy::Admission& admission;
    const Rehearsal& rehearsal;
    Shadow& shadow;
    const KeptState& kept;
    telemetry::Log& log;
    telemetry::Metrics& metrics;
    std::function<void(std::function<void()>)> later;  // On a thread that may wait.
    // The way to one of a provider's servers.
    std::function<std::shared_ptr<Backend>(const config::ProviderTarget&, std::size_t server)> dial;
  };

  // `files`: those that `started_with` was read from.
  Rollout(std::shared_ptr<const config::Settings> started_with, config::FilesRead files,
          Doors doors)
      : started_with_(std::move(started_with)),
        doors_(std::move(doors)),
        files_(std::move(files)),
        shadow_file_(doors_.shadow, doors_.log),
        rolled_back_(doors_.kept.directory) {}

  // In force from now on.
  void take_over(std::shared_ptr<const config::Settings> settings);

  // Reads the file again and takes it over, or tries it as a canary, or leaves the one in force and
  // says why. `force`: also where the guard has objections.
  Result<Reloaded> reload(bool force);

  // The files hold other bytes than before: as `reload`, unless these have been read meanwhile.
  void files_changed();

  // What would become of a file with this text, and nothing comes of it. Variables that its
  // secrets name need not be set.
  Result<Tried> rehearse(std::string_view text) const;

  // Reads the file again where it says what is in force, and tells what it is warned of by now: a
  // price may have ended.
  void look_again();

  // The canary is for everybody, or for nobody any more. Without one, a policy that is watched
  // gives way to the one before. invalid_request: there is none.
  Result<void> promote();
  Result<void> roll_back();

  // A request is over, which may end the canary or the watch, soon afterwards.
  void ended(const Receipt& receipt);

  // Tenants have come with keys that operators made.
  void know_tenants();

  // Those that were read last, taken over or not.
  config::FilesRead files() const;

  RolloutState state() const;
  CanaryState canary() const { return trial_.state(); }
  WatchState watch() const { return probation_.state(); }

 private:
  // Requires: no other reload is under way.
  Result<Reloaded> read_again(bool force);
  // From a file of these bytes.
  void take_over(const std::shared_ptr<const config::Settings>& settings, const std::string& sha256,
                 std::optional<Probation::Watch> watch);

  // rollout_watch.cpp. The same, and watched where it decides otherwise than the one before; that
  // is not to come back where somebody has said that this one is meant.
  void take_over_watched(const std::shared_ptr<const config::Settings>& settings,
                         const std::string& sha256, bool may_come_back);
  Result<void> end_watch(WatchEnd end, const std::string& why);
  void know_files(config::FilesRead files);
  // With a problem where the keys that operators made leave no room for it.
  config::Loaded beside_made_keys(config::Loaded loaded) const;
  std::string against_reload(const config::Settings& settings, const config::Settings& in_force,
                             const Rehearsed& rehearsed) const;
  Error refuse(const config::Loaded& loaded);
  Error refuse(const std::string& objections);
  Providers providers_for(const config::Settings& settings) const;
  telemetry::ClosedSets labels(const config::Settings& settings) const;
  // What is new among its warnings.
  void tell_doubts(const config::Loaded& loaded);
  void tell(std::string_view message, const config::Settings& settings, const Rehearsed& rehearsed);
  void remember(std::string objections);
  void try_out(const std::shared_ptr<const config::Settings>& settings,
               const config::Settings& in_force);
  Result<void> end_trial(CanaryEnd end, const std::string& why);
  void revoke(const std::vector<config::Key>& keys);
  bool stays_rolled_back(const config::Settings& settings) const;
  void keep_rolled_back(const std::shared_ptr<const config::Settings>& tried,
                        const std::string& sha256, const std::string& in_its_place);
  int keys_among(const config::Settings& settings, double share) const;
  std::string one_sided(const config::Settings& settings, double share) const;

  const std::shared_ptr<const config::Settings> started_with_;
  const Doors doors_;
  mutable std::mutex files_mutex_;
  config::FilesRead files_;
  std::mutex reloading_;
  std::set<std::string> doubts_;  // Told.
  ShadowFile shadow_file_;
  Trial trial_;
  std::uint64_t trials_ = 0;
  RolledBack rolled_back_;
  std::string tried_sha256_;  // Of the canary's file.
  Probation probation_;
  std::uint64_t policies_ = 0;   // In force or tried, since the start.
  std::string sha256_in_force_;  // Of the file in force.
  mutable std::mutex guarded_mutex_;
  std::string guarded_;  // See RolloutState.
};

}  // namespace spillway
