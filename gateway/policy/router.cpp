#include "gateway/policy/router.h"

#include "gateway/policy/classes.h"
#include "gateway/policy/decision.h"

#include <algorithm>
#include <utility>

namespace spillway::policy {
namespace {

using config::ServedModel;

std::string_view upstream_of(const ServedModel& model) {
  return model.upstream.empty() ? model.name : model.upstream;
}

// The model that stands for the alias on a target: the one it names, else the target's first.
const ServedModel* chosen_by(const config::Alias& alias, const std::string& target,
                             const std::vector<ServedModel>& serves) {
  if (serves.empty()) return nullptr;
  const auto named = alias.model_on.find(target);
  if (named == alias.model_on.end() || named->second.empty()) return &serves.front();
  const auto found = std::find_if(serves.begin(), serves.end(), [&](const ServedModel& model) {
    return model.name == named->second;
  });
  return found == serves.end() ? nullptr : &*found;
}

}  // namespace

Router::Router(std::shared_ptr<const config::Settings> settings) : settings_(std::move(settings)) {
  for (const config::Alias& alias : settings_->policy.aliases) add_alias(alias);
  if (!settings_->local.empty()) add_served(settings_->local.front().serves, std::nullopt);
  for (std::size_t i = 0; i < settings_->providers.size(); ++i) {
    add_served(settings_->providers[i].serves, i);
  }
}

Result<Plan> Router::plan(const RequestFacts& request, const FleetFacts& fleet, Turn turn,
                          RuleReport* report) const {
  const auto route = routes_.find(request.model);
  if (route == routes_.end()) return no_such_model(request.model);
  const auto request_class = class_of(*settings_, request);
  if (!request_class) return request_class.error();
  return Decision(settings_, route->second, **request_class, request, fleet, turn).make(report);
}

// What has been answered keeps its class where that may not be chosen any more.
Plan Router::handed_over(const RequestFacts& request, std::string_view target,
                         std::string_view model) const {
  Plan plan;
  plan.settings = settings_;
  auto request_class = class_of(*settings_, request);
  if (!request_class) {
    RequestFacts unnamed = request;
    unnamed.class_header = {};
    request_class = class_of(*settings_, unnamed);
  }
  plan.request_class = *request_class;
  plan.sla = sla_of(**request_class, request);
  plan.reason = Reason::handed_over;
  plan.at_batch_rate = true;
  const auto route = routes_.find(request.model);
  plan.could_stay = route != routes_.end() && route->second.local.has_value();
  plan.candidates.push_back(
      {.target = target, .model = model, .served_as = request.model, .at_batch_rate = true});
  return plan;
}

Result<void> Router::check_model(std::string_view asked) const {
  if (routes_.contains(asked)) return {};
  return no_such_model(asked);
}

Error Router::no_such_model(std::string_view asked) const {
  std::string known;
  for (const std::string& model : models_) known += (known.empty() ? "`" : ", `") + model + "`";
  return Error{
      .code = Errc::model_not_found,
      .message = "There is no model `" + std::string(asked) + "`. There are: " + known + ".",
      .param = "model"};
}

void Router::add_alias(const config::Alias& alias) {
  const auto [entry, is_new] = routes_.try_emplace(alias.name);
  if (!is_new) return;
  models_.push_back(alias.name);
  Route& route = entry->second;
  route.alias = true;
  if (!settings_->local.empty()) {
    const config::LocalTarget& local = settings_->local.front();
    const ServedModel* model = chosen_by(alias, local.name, local.serves);
    if (model) route.local = Offer{upstream_of(*model), model->name};
  }
  for (std::size_t i = 0; i < settings_->providers.size(); ++i) {
    const config::ProviderTarget& provider = settings_->providers[i];
    const ServedModel* model = chosen_by(alias, provider.name, provider.serves);
    if (model) route.providers.push_back({upstream_of(*model), model->name, i});
  }
}

void Router::add_served(const std::vector<ServedModel>& serves,
                        std::optional<std::size_t> provider) {
  for (const ServedModel& model : serves) {
    const auto [entry, is_new] = routes_.try_emplace(model.name);
    if (is_new) models_.push_back(model.name);
    Route& route = entry->second;
    if (route.alias) continue;  // An alias hides a served model of the same name.
    const Offer offer{upstream_of(model), model.name, provider.value_or(0)};
    if (provider) {
      route.providers.push_back(offer);
    } else {
      route.local = offer;
    }
  }
}

}  // namespace spillway::policy
