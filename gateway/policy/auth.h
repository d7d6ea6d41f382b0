// Who calls: the configured keys. Immutable after construction; any thread.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"

#include <memory>
#include <string_view>

namespace spillway::policy {

struct Caller {
  const config::Key* key =
      nullptr;  // nullptr: no keys are configured, everybody is let in. Owned by Settings.
  std::string_view name() const { return key ? std::string_view(key->name) : "anonymous"; }
  std::string_view tenant() const { return key ? std::string_view(key->tenant) : "anonymous"; }
};

class KeyTable {
 public:
  explicit KeyTable(std::shared_ptr<const config::Settings> settings);

  // The caller whose secret `bearer` is, or `unauthenticated` (whose text never repeats what was
  // sent). `bearer` is what follows "Bearer " in the Authorization header; empty if there was none.
  // Takes the same time for every key of a length: each configured key is compared to its end.
  Result<Caller> identify(std::string_view bearer) const;

  // On whose account work is done that was taken in earlier: the caller with the key of that name,
  // or `unauthenticated` if it has been taken away since.
  Result<Caller> named(std::string_view key_name) const;

 private:
  std::shared_ptr<const config::Settings> settings_;
};

}  // namespace spillway::policy
