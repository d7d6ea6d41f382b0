// Keys that are made, changed and taken away while the gateway runs: sk-spw-ID-SECRET.
//
// The secret has 256 random bits, is shown once and kept as its SHA-256. `find`, `named`, `any` and
// `check_configured` are for any thread and look into memory; the others write to the disk and
// belong to the thread that administers. What they change counts from their return on.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/auth.h"
#include "gateway/store/database.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::account {

struct MadeKey {
  std::string id;
  config::Key key;           // Its secret stays empty.
  std::int64_t created = 0;  // Seconds since 1970.
  std::optional<std::int64_t> expires;
  std::optional<std::int64_t> revoked;
  std::string hash;               // Of the secret, in hexadecimal.
  std::string hash_before;        // Of the one that was rotated out,
  std::int64_t before_until = 0;  // …and until when it is still good.
};

// A key with what opens it, for its first and only showing.
struct ShownKey {
  std::shared_ptr<const MadeKey> made;
  std::string secret;  // The whole: sk-spw-ID-SECRET.
};

class KeyRing final : public policy::MadeKeys {
 public:
  static Result<std::unique_ptr<KeyRing>> open(const std::string& path);
  ~KeyRing() override;

  bool any() const override;
  Result<std::shared_ptr<const config::Key>> find(std::string_view bearer) const override;
  std::shared_ptr<const config::Key> named(std::string_view name) const override;

  // Names are those of one key that is not revoked, and stay their tenant's when it is.
  Result<ShownKey> make(config::Key key, std::optional<std::int64_t> expires);

  // A new secret; the one before is good for so many seconds more.
  Result<ShownKey> rotate(std::string_view id, std::int64_t overlap);

  Result<std::shared_ptr<const MadeKey>> revoke(std::string_view id);

  // Of the configuration's keys none may have the name of one that was made for another tenant.
  Result<void> check_configured(const std::vector<config::Key>& keys) const;

  std::vector<std::shared_ptr<const MadeKey>> all() const;
  Result<std::shared_ptr<const MadeKey>> show(std::string_view id) const;

 private:
  using Table = std::map<std::string, std::shared_ptr<const MadeKey>, std::less<>>;

  explicit KeyRing(store::Database database) : database_(std::move(database)) {}
  Result<void> load();
  Result<void> check_name(const config::Key& key) const;
  Result<void> keep(std::shared_ptr<const MadeKey> made);
  std::shared_ptr<const Table> table() const;

  store::Database database_;
  mutable std::mutex mutex_;  // Of the pointer alone.
  std::shared_ptr<const Table> table_ = std::make_shared<Table>();
};

}  // namespace spillway::account
