#include "config/check_unused.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace spillway::config {
namespace {

class UnusedCheck {
 public:
  UnusedCheck(const Settings& settings, const Places& places)
      : settings_(settings), places_(places) {}

  std::vector<Problem> run() {
    check_budgets();
    check_choice();
    for (const LocalTarget& local : settings_.local) {
      check_isolation(local);
      check_bounds(local);
    }
    for (const ProviderTarget& one : settings_.providers)
      check_switch("targets." + one.name + ".batches", one.batches.enabled,
                   one.batches != ProviderBatches{});
    for (const RequestClass& one : settings_.policy.classes) {
      const std::string path = "classes." + one.name;
      check_switch(path + ".hedge", one.hedge.enabled, one.hedge != Hedge{});
      check_hysteresis(one, path);
      check_switch(path + ".feedback", one.feedback.enabled, one.feedback != Feedback{});
    }
    return std::move(warnings_);
  }

 private:
  void warn(const std::string& path, std::string message) {
    const Place place = places_.of(path);
    warnings_.push_back({place.line, place.column, path, std::move(message)});
  }

  // What says `enabled: false` itself is switched off on purpose.
  void check_switch(const std::string& path, bool enabled, bool says_more) {
    if (says_more && !enabled && !places_.has(path + ".enabled"))
      warn(path, "does nothing: it takes `enabled: true`");
  }

  void check_hysteresis(const RequestClass& one, const std::string& path) {
    if (one.ttft_hysteresis > 0.0 && (one.spill != Spill::when_sla_at_risk || !one.sla.ttft))
      warn(path + ".ttft_hysteresis",
           "does nothing: it takes `spill: when_sla_at_risk` and a `sla.ttft`");
  }

  void check_budgets() {
    const auto limited = [](const auto& all) {
      return std::any_of(all.begin(), all.end(),
                         [](const auto& one) { return one.budget.limited(); });
    };
    const bool kept = !settings_.server.state.empty() || !settings_.ledger.postgres_source.empty();
    if (!kept && (limited(settings_.tenants) || limited(settings_.keys)))
      warn("server.state",
           "is not given: what was spent is forgotten, and each budget begins anew, with each "
           "start");
  }

  // The name of a model that one target serves leaves nothing to classes, unless they only say that
  // nothing is to leave.
  void check_choice() {
    if (!settings_.policy.aliases.empty() || settings_.local.empty()) return;
    if (!places_.has("classes") || !places_.has("targets")) return;
    const auto& classes = settings_.policy.classes;
    const bool any_leaves =
        std::any_of(classes.begin(), classes.end(),
                    [](const RequestClass& one) { return one.spill != Spill::never; });
    const bool chats_elsewhere = std::any_of(
        settings_.providers.begin(), settings_.providers.end(), [](const ProviderTarget& one) {
          return std::find(one.endpoints.begin(), one.endpoints.end(), "chat") !=
                 one.endpoints.end();
        });
    if (any_leaves && chats_elsewhere && !leaves_a_choice())
      warn("classes",
           "choose no target: each model is served by one alone, and no name leaves it to them; "
           "add `models: {auto: policy}`");
  }

  // Whether any model is served by two for the same endpoint. The local engine's are those of text.
  bool leaves_a_choice() const {
    std::map<std::pair<std::string, std::string>, int> served;
    for (const ServedModel& model : settings_.local.front().serves) {
      for (const char* endpoint : {"chat", "completions"}) ++served[{endpoint, model.name}];
    }
    for (const ProviderTarget& provider : settings_.providers) {
      for (const std::string& endpoint : provider.endpoints) {
        for (const ServedModel& model : provider.serves) ++served[{endpoint, model.name}];
      }
    }
    return std::any_of(served.begin(), served.end(),
                       [](const auto& one) { return one.second > 1; });
  }

  void check_isolation(const LocalTarget& local) {
    const std::string path = "targets." + local.name + ".";
    if (local.isolation == "process" || places_.has(path + "isolation")) return;
    for (const char* key : {"restart_after", "restart_after_max", "hangs_after"}) {
      if (places_.has(path + key)) warn(path + key, "does nothing: it takes `isolation: process`");
    }
  }

  void check_bounds(const LocalTarget& local) {
    const std::string path = "targets." + local.name + ".";
    if (local.context_max > local.kv_tokens_max)
      warn(path + "context_max", "is never reached: kv_tokens_max, " +
                                     std::to_string(local.kv_tokens_max) +
                                     ", is all that a prompt and its answer have room in");
    if (local.step_tokens_max < local.sequences_max)
      warn(path + "step_tokens_max", "is less than sequences_max, " +
                                         std::to_string(local.sequences_max) +
                                         ": so many never go on together in a step");
  }

  const Settings& settings_;
  const Places& places_;
  std::vector<Problem> warnings_;
};

}  // namespace

std::vector<Problem> check_unused(const Settings& settings, const Places& places) {
  return UnusedCheck(settings, places).run();
}

}  // namespace spillway::config
