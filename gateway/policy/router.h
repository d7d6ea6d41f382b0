// Where a request goes. One Router per loaded Settings: immutable, so any thread may call it; a
// pure function of its arguments, so the same facts always give the same plan. Does not allocate on
// the way to a plan.
//
// `auto` and other aliases leave the target to the policy; the name of a served model fixes the
// targets to those that serve it. Among these: a class that spills `when_sla_at_risk` stays local
// while the prediction from the engine's exact state meets its SLA, else goes to the provider that
// the class prefers among those that can meet it, judged by their P90 TTFT and token rate of late.
// A provider is left out while its breaker is open, its rate limit holds or its concurrency is used
// up. Behind the first choice stand the other providers in order, then the local engine where the
// class allows, then all of them again, up to `attempts_max`.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/route.h"
#include "gateway/policy/rule_facts.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::policy {

class Router {
 public:
  explicit Router(std::shared_ptr<const config::Settings> settings);

  // Errors: model_not_found (names what exists), invalid_request and forbidden (class header, see
  // classes.h; a model that the key may not reach; a request that its only target cannot answer),
  // context_too_long, overloaded (all full, with retry_after from the prediction or the providers'
  // limits), no_route (nothing left that may be asked).
  // `turn`: a request whose class lets it wait is held first (Plan::wait), then asked about again.
  // `report` is filled with what the policy's rules saw and said, whatever comes of it; that
  // allocates.
  Result<Plan> plan(const RequestFacts& request, const FleetFacts& fleet, Turn turn = Turn::unknown,
                    RuleReport* report = nullptr) const;

  // The plan of what was answered in a batch of that provider's: it has no other candidate. Points
  // into the arguments.
  Plan handed_over(const RequestFacts& request, std::string_view target,
                   std::string_view model) const;

  // model_not_found if no client may ask for it; names what exists.
  Result<void> check_model(std::string_view asked) const;

  // Every model name that a client may ask for: aliases first, then served models in the order of
  // the configuration.
  const std::vector<std::string>& models() const { return models_; }

  const std::shared_ptr<const config::Settings>& settings() const { return settings_; }

 private:
  Error no_such_model(std::string_view asked) const;
  void add_served(const std::vector<config::ServedModel>& serves,
                  std::optional<std::size_t> provider);
  void add_alias(const config::Alias& alias);

  std::shared_ptr<const config::Settings> settings_;
  std::vector<std::string> models_;
  std::unordered_map<std::string_view, Route> routes_;  // Names are the settings' own strings.
};

}  // namespace spillway::policy
