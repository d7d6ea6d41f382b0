#include "gateway/telemetry/closed_sets.h"

namespace spillway::telemetry {

ClosedSets closed_sets(const config::Settings& settings) {
  ClosedSets sets;
  for (const auto& request_class : settings.policy.classes)
    sets.classes.push_back(request_class.name);
  sets.classes.push_back(settings.policy.default_class);

  const auto add_models = [&sets](const std::vector<config::ServedModel>& models) {
    for (const auto& model : models) {
      sets.models.push_back(model.name);
      sets.models.push_back(model.upstream);
    }
  };
  for (const auto& local : settings.local) {
    sets.targets.push_back(local.name);
    add_models(local.serves);
  }
  for (const auto& provider : settings.providers) {
    sets.targets.push_back(provider.name);
    add_models(provider.serves);
  }
  for (const auto& alias : settings.policy.aliases) sets.models.push_back(alias.name);

  sets.tenants.push_back("anonymous");
  for (const auto& tenant : settings.tenants) sets.tenants.push_back(tenant.name);
  for (const auto& key : settings.keys) sets.tenants.push_back(key.tenant);
  for (const auto& rule : settings.policy.rules) sets.rules.push_back(rule.name);
  return sets;
}

}  // namespace spillway::telemetry
