#include "gateway/policy/rule_facts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace spillway::policy {
namespace {

using language::FactRef;
using language::Type;

std::string format(const char* how, double value) {
  char text[64];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

std::string show(Type type, double value) {
  if (type == Type::boolean) return value != 0.0 ? "true" : "false";
  if (!std::isfinite(value)) return "infinite";
  switch (type) {
    case Type::duration:
      return value < 10.0 ? format("%.0fms", 1e3 * value) : format("%.1fs", value);
    case Type::money: return format("%.6fusd", value * 1e-9);
    case Type::time_of_day: {
      const int minutes = static_cast<int>(value / 60.0);
      char text[16];
      std::snprintf(text, sizeof text, "%02d:%02d", minutes / 60 % 24, minutes % 60);
      return text;
    }
    default: return format("%.6g", value);
  }
}

// What clients write is cut short.
std::string show(std::string_view text) {
  constexpr std::size_t kBytesMax = 64;
  const bool whole = text.size() <= kBytesMax;
  return "'" + std::string(text.substr(0, kBytesMax)) + (whole ? "'" : "…'");
}

std::string name_of(const FactRef& fact, const config::Settings& settings) {
  std::string name(language::row_of(fact.fact).word);
  if (fact.target < 0) return name;
  const std::string& target =
      fact.target == 0 ? settings.local.front().name
                       : settings.providers[static_cast<std::size_t>(fact.target - 1)].name;
  return name + "(" + target + ")";
}

}  // namespace

RuleReport report_of(const config::Settings& settings, const RuleFacts& facts,
                     const config::Rule* decider) {
  RuleReport report;
  if (decider != nullptr) report.decider = decider->name;
  std::vector<FactRef> asked;
  for (const config::Rule& rule : settings.policy.rules) {
    report.rules.push_back({rule.name, language::holds(rule.program, facts)});
    for (const FactRef& fact : rule.program.facts) {
      if (std::find(asked.begin(), asked.end(), fact) != asked.end()) continue;
      asked.push_back(fact);
      const Type type = language::row_of(fact.fact).type;
      std::string value =
          type == Type::text ? show(facts.text(fact)) : show(type, facts.number(fact));
      report.facts.push_back({name_of(fact, settings), std::move(value)});
    }
  }
  return report;
}

}  // namespace spillway::policy
