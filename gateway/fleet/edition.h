// One loaded configuration and everything that follows from it: what a request pins when it begins
// and keeps until it ends, whatever is reloaded meanwhile. Immutable after construction; any
// thread.
#pragma once

#include "backends/contract/backend.h"
#include "config/settings.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/router.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// The providers' backends by name, one for each of its servers. A provider whose settings did not
// change keeps them over a reload.
using Providers = std::map<std::string, std::vector<std::shared_ptr<Backend>>, std::less<>>;

struct Edition {
  Edition(std::shared_ptr<const config::Settings> from, Providers backends,
          const policy::MadeKeys* made_keys = nullptr, std::uint64_t policy_number = 0)
      : settings(from),
        router(from),
        keys(from, made_keys),
        providers(std::move(backends)),
        policy(policy_number) {}

  // Whether the policy may send a request for this model to the local engine: then its prompt is
  // worth counting exactly.
  bool may_be_local(std::string_view model) const;

  const std::shared_ptr<const config::Settings> settings;
  const policy::Router router;
  const policy::KeyTable keys;
  const Providers providers;
  const std::uint64_t policy;  // The same for editions that decide alike; later ones have more.
};

// Who calls, and the edition that the request is under.
struct Entry {
  std::shared_ptr<const Edition> edition;
  Result<policy::Caller> caller;
  std::uint64_t canary = 0;  // Its number, if that is one.
};

// Where the key stands in [0, 1): it is among the share s of all keys if that is less than s.
double place_of(const config::Key& key);

// The edition in force and, while a canary is tried, the one that a share of the keys is under.
// Thread-safe: each change is one step.
class CurrentEdition {
 public:
  // In force.
  std::shared_ptr<const Edition> get() const;

  // In force from now on, for everybody.
  void set(std::shared_ptr<const Edition> edition);

  // The same policies with other keys; null: that one stays.
  void exchange(std::shared_ptr<const Edition> in_force, std::shared_ptr<const Edition> canary);

  // For that share of the keys, or of the requests where there are no keys; `number` is not 0.
  void try_out(std::shared_ptr<const Edition> edition, double share, std::uint64_t number);
  void end_trial();

  // The policy in force is watched beside that of `before`; null: it is not.
  void watch(std::shared_ptr<const Edition> before);
  std::shared_ptr<const Edition> before() const;

  // Who comes in with this secret, or on whose account work is done. While a canary is tried its
  // keys count for all, as they are the newer ones: what is taken away from them is gone at once,
  // and what came with them is under it.
  Entry enter(std::string_view bearer, std::string_view request_id) const;
  Entry enter_as(std::string_view key_name, std::string_view tenant,
                 std::string_view request_id) const;

 private:
  struct Editions {
    std::shared_ptr<const Edition> in_force;
    std::shared_ptr<const Edition> canary;  // Null: none is tried.
    double share = 0.0;
    std::uint64_t number = 0;
  };

  Editions now() const;
  template <class Know>
  Entry seat(const Know& know, std::string_view request_id) const;

  mutable std::mutex mutex_;
  Editions editions_;
  std::shared_ptr<const Edition> before_;
  std::atomic<bool> watched_ = false;  // There is one before: most of the time nobody looks.
};

}  // namespace spillway
