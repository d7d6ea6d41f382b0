// One loaded configuration and everything that follows from it: what a request pins when it begins
// and keeps until it ends, whatever is reloaded meanwhile. Immutable after construction; any
// thread.
#pragma once

#include "backends/contract/backend.h"
#include "config/settings.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/router.h"

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
          const policy::MadeKeys* made_keys = nullptr)
      : settings(from), router(from), keys(from, made_keys), providers(std::move(backends)) {}

  // Whether the policy may send a request for this model to the local engine: then its prompt is
  // worth counting exactly.
  bool may_be_local(std::string_view model) const;

  const std::shared_ptr<const config::Settings> settings;
  const policy::Router router;
  const policy::KeyTable keys;
  const Providers providers;
};

// The edition in force. Thread-safe: a reload replaces it in one step.
class CurrentEdition {
 public:
  std::shared_ptr<const Edition> get() const {
    std::lock_guard lock(mutex_);
    return edition_;
  }
  void set(std::shared_ptr<const Edition> edition) {
    std::lock_guard lock(mutex_);
    edition_.swap(edition);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Edition> edition_;
};

}  // namespace spillway
