#include "config/check_rules.h"

#include "config/check_callers.h"
#include "config/given.h"
#include "config/language/implies.h"
#include "config/language/traps.h"
#include "config/nearest.h"
#include "config/references.h"
#include "config/schema.h"
#include "config/value.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace spillway::config {
namespace {

using language::Fact;
using language::Tree;

// What it may cost to look for rules that nothing reaches: a fraction of a second. Two hundred
// rules of ten comparisons stay below; further ones are not looked into.
constexpr std::size_t kStepsMax = 10'000'000;

template <class Owner>
Names names_of(const std::vector<Owner>& all) {
  Names names;
  for (const Owner& one : all) names.push_back(one.name);
  return names;
}

std::string show(double milliseconds) {
  return format_value(Kind::duration, Value(static_cast<std::int64_t>(milliseconds * 1e6)));
}

class RuleCheck {
 public:
  RuleCheck(const Settings& settings, const Places& places)
      : settings_(settings), places_(places), targets_(fact_targets(settings)) {}

  std::vector<Problem> run() {
    const auto& rules = settings_.policy.rules;
    for (std::size_t i = 0; i < rules.size(); ++i)
      check_rule(i, "rules[" + std::to_string(i) + "]");
    for (const RequestClass& one : settings_.policy.classes) check_promises(one);
    return std::move(warnings_);
  }

 private:
  struct Known {
    language::Outline condition;
    std::optional<bool> constant;
  };

  void warn(const std::string& path, std::string message) {
    const Place place = places_.of(path);
    warnings_.push_back({place.line, place.column, path, std::move(message)});
  }

  static std::string called(const Rule& rule) {
    return "rule `" + rule.name + "` (line " + std::to_string(rule.at.line) + ")";
  }

  // `true` where a rule has no condition.
  Tree tree_of(const Rule& rule) const {
    auto tree = language::parse(rule.condition.empty() ? "true" : rule.condition, targets_);
    return std::get<Tree>(std::move(tree));
  }

  void check_rule(std::size_t index, const std::string& path) {
    const Rule& rule = settings_.policy.rules[index];
    const Tree tree = tree_of(rule);
    known_.push_back({language::Outline(tree), language::constant(tree)});
    const Known& own = known_.back();
    check_names(tree, path + ".if");
    check_arithmetic(tree, path + ".if");
    if (own.constant == false) {
      warn(path + ".if", "is never true: nothing reaches the rule");
      return;
    }
    if (own.constant == true && !rule.condition.empty())
      warn(path + ".if", "is always true: leave `if` out if that is meant");
    if (!own.constant) check_comparisons(tree, path + ".if");
    for (std::size_t i = 0; i < index; ++i) {
      const Rule& earlier = settings_.policy.rules[i];
      const bool always = known_[i].constant == true;
      if (!always && !own.condition.implies(known_[i].condition, steps_left_)) continue;
      warn(path, "nothing reaches it: " + called(earlier) +
                     (always ? " always decides" : " decides whenever its condition holds"));
      return;
    }
  }

  // Of a condition that holds or not, a part that does nothing, or leaves nothing.
  void check_comparisons(const Tree& tree, const std::string& path) {
    for (const language::Idle& idle : language::idle_comparisons(tree)) {
      const std::string word(language::row_of(idle.fact.fact).word);
      const bool share = idle.fact.fact == Fact::budget_left || idle.fact.fact == Fact::kv_free;
      warn(path, "what it asks of " + word + (idle.always ? " is always true" : " is never true") +
                     (share ? ": it is a share, such as 20%" : ""));
    }
  }

  void check_arithmetic(const Tree& tree, const std::string& path) {
    for (const language::Trap& trap : language::traps(tree)) {
      const std::string name = name_of(trap.fact);
      warn(path, trap.divisor
                     ? "divides by " + name + ", which may be 0: multiply the other side by it"
                     : "reckons with " + name +
                           " where both sides may be infinite, and no "
                           "comparison of that holds: compare them with each other");
    }
  }

  std::string name_of(const language::FactRef& fact) const {
    const std::string word(language::row_of(fact.fact).word);
    if (fact.target < 0) return word;
    const auto provider = static_cast<std::size_t>(fact.target) - 1;
    return word + "(" + (fact.target == 0 ? targets_.local : targets_.providers[provider]) + ")";
  }

  void check_names(const Tree& tree, const std::string& path) {
    for (const language::Choice& choice : language::choices(tree)) {
      const Names known = known_names(choice.fact.fact);
      for (const std::string& text : choice.texts) {
        if (text.empty() || known.empty() ||
            std::find(known.begin(), known.end(), text) != known.end())
          continue;
        warn(path, "there is no " + std::string(language::row_of(choice.fact.fact).word) + " " +
                       in_quotes(text) + suggestion(text, known));
      }
    }
  }

  // Empty: anything may stand there.
  Names known_names(Fact fact) const {
    if (fact == Fact::weekday) return {language::weekdays().begin(), language::weekdays().end()};
    if (fact == Fact::request_class) return names_of(settings_.policy.classes);
    if (fact == Fact::service_tier) return service_tiers();
    if (fact == Fact::model) return model_names();
    if (fact == Fact::residency) return residencies_of(settings_);
    if (fact == Fact::key && keys_are_known(settings_)) return names_of(settings_.keys);
    if (fact == Fact::tenant && keys_are_known(settings_)) return tenant_names();
    return {};
  }

  Names model_names() const {
    Names names = names_of(settings_.policy.aliases);
    const auto add = [&](const auto& targets) {
      for (const auto& target : targets) {
        for (const ServedModel& model : target.serves) names.push_back(model.name);
      }
    };
    add(settings_.local);
    add(settings_.providers);
    return names;
  }

  // Those of keys that are made while it runs are known by their limits.
  Names tenant_names() const {
    Names names = names_of(settings_.tenants);
    for (const Key& key : settings_.keys) names.push_back(key.tenant);
    return names;
  }

  void check_promises(const RequestClass& one) {
    const std::string path = "classes." + one.name + ".sla";
    double ttft = std::numeric_limits<double>::infinity();
    double per_token = ttft;
    for (const ProviderTarget& provider : settings_.providers) {
      if (!one.uses(provider.name) || one.spill == Spill::never) continue;
      ttft = std::min(ttft, static_cast<double>(provider.measured.ttft_p50.count()));
      per_token = std::min(per_token, 1'000.0 / provider.measured.tokens_per_second);
    }
    for (const LocalTarget& local : settings_.local) {
      const double alone = local.step_prior.base_ms + local.step_prior.per_sequence_ms;
      ttft = std::min(ttft, local.step_prior.base_ms);
      per_token = std::min(per_token, alone);
    }
    tell(one.sla.ttft, ttft, path + ".ttft", "first token");
    tell(one.sla.per_token, per_token, path + ".per_token", "token");
  }

  void tell(const std::optional<Milliseconds>& promised, double best, const std::string& path,
            const std::string& what) {
    if (!promised || static_cast<double>(promised->count()) >= best) return;
    const bool nobody = best == std::numeric_limits<double>::infinity();
    if (nobody) return;  // Told elsewhere: no target may take the class.
    warn(path,
         "no target can keep it: the quickest " + what + " that is known of takes " + show(best));
  }

  const Settings& settings_;
  const Places& places_;
  const language::Targets targets_;
  std::vector<Known> known_;  // Of the rules so far.
  std::size_t steps_left_ = kStepsMax;
  std::vector<Problem> warnings_;
};

}  // namespace

std::vector<Problem> check_rules(const Settings& settings, const Places& places) {
  return RuleCheck(settings, places).run();
}

}  // namespace spillway::config
