#include "config/check_callers.h"

#include "config/nearest.h"
#include "config/schema.h"

#include <algorithm>
#include <string>
#include <utility>

namespace spillway::config {
namespace {

bool lists(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// team-a and team-b, acme and acme-dev: different on purpose.
bool are_of_a_series(std::string_view one, std::string_view other) {
  if (one.starts_with(other) || other.starts_with(one)) return true;
  const std::size_t size = one.size();
  return size == other.size() && one.substr(0, size - 1) == other.substr(0, size - 1);
}

class CallerCheck {
 public:
  CallerCheck(const Settings& settings, const Places& places)
      : settings_(settings), places_(places) {}

  std::vector<Problem> run() {
    for (const Tenant& tenant : settings_.tenants) {
      limited_.push_back(tenant.name);
      check_tenant(tenant);
    }
    for (const Key& key : settings_.keys) check_key(key);
    for (const RequestClass& one : settings_.policy.classes) {
      check_matchers(one);
      check_share(one);
    }
    return std::move(warnings_);
  }

 private:
  void warn(const std::string& path, std::string message) {
    const Place place = places_.of(path);
    warnings_.push_back({place.line, place.column, path, std::move(message)});
  }

  void check_tenant(const Tenant& tenant) {
    const std::string path = "tenants." + tenant.name;
    check_budget(tenant.budget, path + ".budget");
    const bool has_keys = std::any_of(settings_.keys.begin(), settings_.keys.end(),
                                      [&](const Key& key) { return key.tenant == tenant.name; });
    if (keys_are_known(settings_) && !has_keys) warn(path, "limits nobody: no key has this tenant");
  }

  // A slip in a tenant's name takes its limits and budgets off the key. Other tenants may well be
  // without any.
  void check_key(const Key& key) {
    const std::string path = "keys." + key.name;
    check_budget(key.budget, path + ".budget");
    if (key.tenant == key.name || lists(limited_, key.tenant)) return;
    const std::string near = nearest(key.tenant, limited_);
    if (near.empty() || are_of_a_series(key.tenant, near)) return;
    warn(path + ".tenant",
         in_quotes(key.tenant) +
             " is not under `tenants`, so that nothing there bounds this key: did "
             "you mean `" +
             near + "`? An empty `" + key.tenant + ": {}` there says that it is another");
  }

  void check_budget(const Budget& budget, const std::string& path) {
    if (budget.hard && !budget.limited())
      warn(path + ".hard", "bounds nothing: there is neither `day` nor `month`");
    if (budget.day && budget.month && *budget.day > *budget.month)
      warn(path + ".day", "is more than `month`, which ends first");
  }

  void check_share(const RequestClass& one) {
    const auto any = [](const auto& all) {
      return std::any_of(all.begin(), all.end(),
                         [](const auto& payer) { return payer.budget.limited(); });
    };
    if (one.budget_share && keys_are_known(settings_) && !any(settings_.tenants) &&
        !any(settings_.keys))
      warn("classes." + one.name + ".budget_share",
           "bounds nothing: neither a tenant nor a key has a budget");
  }

  void check_matchers(const RequestClass& one) {
    for (std::size_t i = 0; i < one.match.size(); ++i) {
      const bool listed = one.match.size() > 1;
      const std::string path =
          "classes." + one.name + ".match" + (listed ? "[" + std::to_string(i) + "]" : "");
      check_known(one.match[i].service_tiers, service_tiers(), path + ".service_tier");
      check_known(one.match[i].endpoints, model_paths(), path + ".endpoint");
    }
  }

  void check_known(const Names& written, const Names& known, const std::string& path) {
    for (std::size_t i = 0; i < written.size(); ++i) {
      if (lists(known, written[i])) continue;
      warn(path + "[" + std::to_string(i) + "]",
           "no request has " + in_quotes(written[i]) + suggestion(written[i], known));
    }
  }

  const Settings& settings_;
  const Places& places_;
  Names limited_;  // Tenants with an entry of their own.
  std::vector<Problem> warnings_;
};

}  // namespace

bool keys_are_known(const Settings& settings) {
  return !settings.keys.empty() && settings.server.state.empty() &&
         settings.ledger.postgres_source.empty();
}

std::vector<Problem> check_callers(const Settings& settings, const Places& places) {
  return CallerCheck(settings, places).run();
}

}  // namespace spillway::config
