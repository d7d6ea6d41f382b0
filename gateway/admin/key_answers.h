// What operators ask of keys: make one, list, show, rotate and revoke them, as JSON.
//
// For a thread that may wait for the disk, one at a time. The answer that makes a secret is the
// only one that shows it. Who may ask is the routes' affair (gateway/api/admin_routes.h).
#pragma once

#include "gateway/account/key_ring.h"
#include "gateway/admin/admin.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::admin {

class KeyAnswers {
 public:
  // `settings` gives those in force, in which the names that keys mention must be. `keeps_budgets`:
  // there is a ledger. `made` hears of each new key, on that thread; it may be empty.
  KeyAnswers(account::KeyRing& keys,
             std::function<std::shared_ptr<const config::Settings>()> settings, bool keeps_budgets,
             std::function<void()> made = {})
      : keys_(keys),
        settings_(std::move(settings)),
        keeps_budgets_(keeps_budgets),
        made_(std::move(made)) {}

  // 201 with the key and its secret, or 400 saying which member is wrong. `name` is needed, all
  // else may be left out: tenant, project, class, classes, models, scopes, local_only, residency,
  // expires_in ("720h"), limits {requests_per_minute, tokens_per_minute, concurrency}, budget {day,
  // month ("100usd"), warn_at, hard}.
  Answer make(std::string_view body) const;

  // A new secret; `{"overlap": "24h"}`: for so long the old one is good as well, else not.
  Answer rotate(std::string_view id, std::string_view body) const;

  Answer list() const;
  Answer show(std::string_view id) const;
  Answer revoke(std::string_view id) const;

 private:
  account::KeyRing& keys_;
  std::function<std::shared_ptr<const config::Settings>()> settings_;
  const bool keeps_budgets_;
  const std::function<void()> made_;
};

}  // namespace spillway::admin
