// Who calls: the configured keys. Immutable after construction; any thread.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"

#include <memory>
#include <string_view>

namespace spillway::policy {

struct Caller {
  const config::Key* key =
      nullptr;  // nullptr: there are no keys, everybody is let in. Owned by Settings or `made`.
  std::shared_ptr<const config::Key> made;
  std::string_view name() const { return key ? std::string_view(key->name) : "anonymous"; }
  std::string_view tenant() const { return key ? std::string_view(key->tenant) : "anonymous"; }
};

// Keys that are made and taken away while the gateway runs. Any thread.
class MadeKeys {
 public:
  virtual ~MadeKeys() = default;

  // True from the first key on, also when all have been revoked: what was closed stays closed.
  virtual bool any() const = 0;

  // Whose secret `bearer` is; or `unauthenticated`: unknown, revoked, expired.
  virtual Result<std::shared_ptr<const config::Key>> find(std::string_view bearer) const = 0;

  // Null: there is none of that name, or it has expired.
  virtual std::shared_ptr<const config::Key> named(std::string_view name) const = 0;
};

// `forbidden` if the caller's key has scopes and that of `path` is not among them:
// "/v1/chat/completions" needs `chat`, "/rerank" and "/v2/rerank" need `rerank`. /tokenize and
// /detokenize have no scope of their own: gateway/api/tokens.h says whose they take.
Result<void> check_scope(const Caller& caller, std::string_view path);

// `forbidden` if the caller's key names models and this is not among them.
Result<void> check_model(const Caller& caller, std::string_view model);

// Looks at every character whatever the first difference; only the length of the secret shows in
// the time it takes.
bool equal_in_constant_time(std::string_view secret, std::string_view given);

class KeyTable {
 public:
  // `made` may be null; it outlives the table.
  explicit KeyTable(std::shared_ptr<const config::Settings> settings,
                    const MadeKeys* made = nullptr);

  // The caller whose secret `bearer` is, or `unauthenticated` (whose text never repeats what was
  // sent). `bearer` is what follows "Bearer " in the Authorization header; empty if there was none.
  // Takes the same time for every key of a length: each configured key is compared to its end.
  Result<Caller> identify(std::string_view bearer) const;

  // On whose account work is done that was taken in earlier: the caller of that tenant with the key
  // of that name, or `unauthenticated` if it has been taken away since.
  Result<Caller> named(std::string_view key_name, std::string_view tenant) const;

 private:
  bool open_to_all() const;

  std::shared_ptr<const config::Settings> settings_;
  const MadeKeys* made_;
};

}  // namespace spillway::policy
