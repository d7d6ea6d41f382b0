#include "config/load_rules.h"

#include "config/given.h"
#include "config/nearest.h"
#include "config/references.h"
#include "config/schema.h"

#include <algorithm>
#include <array>
#include <utility>

namespace spillway::config {
namespace {

constexpr std::size_t kRulesMax = 200;
constexpr std::size_t kTestsMax = 1'000;

// What a test expects of where no rule decides, or of where nobody answers yet.
constexpr std::array<std::string_view, 3> kReserved{"none", "held", "refused"};

// The entries of a list of blocks under `name`.
const std::vector<Node>& items_of(const Node& root, const std::string& name, std::size_t most,
                                  Reader& reader) {
  static const std::vector<Node> kNone;
  const Node* const node = root.find(name);
  if (node == nullptr || node->shape == Node::Shape::nothing) return kNone;
  if (node->shape != Node::Shape::sequence) {
    reader.report(name, "expected a list: each entry begins with `-`");
    return kNone;
  }
  if (node->items.size() > most) {
    reader.report(name, "has more than " + std::to_string(most) + " entries");
    return kNone;
  }
  return node->items;
}

std::string item_path(const std::string& list, std::size_t index, const Node& node,
                      Reader& reader) {
  const std::string path = list + "[" + std::to_string(index) + "]";
  reader.places().note(path, {node.line, node.column});
  return path;
}

// Names of rules and tests: given or counted, and never the same twice.
template <class Owner>
void settle_name(std::vector<Owner>& all, const std::string& kind, const std::string& path,
                 Reader& reader) {
  std::string& name = all.back().name;
  if (name.empty()) name = kind + "-" + std::to_string(all.size());
  if (!is_name(name)) reader.report(path + ".name", std::string(kNameRule));
  const bool twice = std::any_of(all.begin(), all.end() - 1,
                                 [&](const Owner& other) { return other.name == name; });
  if (twice) reader.report(path + ".name", in_quotes(name) + " is named twice");
}

class RuleReading {
 public:
  RuleReading(Rule& rule, const language::Targets& targets, bool someone_is_here, std::string path,
              Reader& reader)
      : rule_(rule),
        targets_(targets),
        someone_is_here_(someone_is_here),
        path_(std::move(path)),
        reader_(reader) {}

  void settle(const Node& node) {
    if (!rule_.route.empty()) settle_route();
    for (std::size_t i = 0; i < rule_.among.size(); ++i) {
      const auto target = targets_.number_of(rule_.among[i]);
      if (target == 0) rule_.among[i] = targets_.local;
      if (target) continue;
      reader_.report(path_ + ".among[" + std::to_string(i) + "]",
                     "there is no target " + in_quotes(rule_.among[i]) +
                         suggestion(rule_.among[i], targets_.names()));
    }
    const Node* const condition = node.find("if");
    if (condition != nullptr && !rule_.condition.empty()) settle_condition(*condition);
  }

 private:
  void settle_route() {
    const std::string& route = rule_.route;
    const auto target = targets_.number_of(route);
    const auto kind = route_kind(route);
    if (kind && target && *target != 0) {
      reader_.report(path_ + ".route", in_quotes(route) +
                                           " is a kind of route and the name of a "
                                           "provider: rename the provider");
    }
    if (!kind && !target) {
      Names known = targets_.names();
      known.insert(known.end(), route_words().begin(), route_words().end());
      reader_.report(path_ + ".route", "there is no target or kind of route " + in_quotes(route) +
                                           suggestion(route, known));
      return;
    }
    rule_.kind = kind ? *kind : *target == 0 ? RouteKind::local : RouteKind::target;
    const bool nobody = (rule_.kind == RouteKind::local && targets_.local.empty()) ||
                        (rule_.kind == RouteKind::local_only && !someone_is_here_);
    if (nobody) reader_.report(path_ + ".route", "there is no local target");
    settle_options();
  }

  void settle_options() {
    const bool chooses = rule_.kind >= RouteKind::cloud && rule_.kind <= RouteKind::fastest;
    const std::string whose = "belongs to cloud, cheapest, cheapest_meeting_sla and fastest";
    if (!chooses && !rule_.among.empty()) reader_.report(path_ + ".among", whose);
    if (!chooses && rule_.max_price) reader_.report(path_ + ".max_price", whose);
    if (rule_.kind != RouteKind::refuse && !rule_.message.empty())
      reader_.report(path_ + ".message", "belongs to `route: refuse`");
  }

  void settle_condition(const Node& node) {
    auto compiled = language::compile(rule_.condition, targets_);
    if (const auto* mistake = std::get_if<language::Mistake>(&compiled)) {
      report_mistake(*mistake, node, path_ + ".if", reader_);
    } else {
      rule_.program = std::get<language::Program>(std::move(compiled));
    }
  }

  Rule& rule_;
  const language::Targets& targets_;
  const bool someone_is_here_;
  const std::string path_;
  Reader& reader_;
};

}  // namespace

void read_rules(const Node& root, Settings& settings, Reader& reader) {
  const language::Targets targets = fact_targets(settings);
  const std::vector<Node>& items = items_of(root, "rules", kRulesMax, reader);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string path = item_path("rules", i, items[i], reader);
    Rule& rule = settings.policy.rules.emplace_back();
    rule.at = {items[i].line, items[i].column};
    reader.read_rows(items[i], path, rule_rows(), rule);
    RuleReading(rule, targets, someone_is_here(settings), path, reader).settle(items[i]);
    settle_name(settings.policy.rules, "rule", path, reader);
    if (std::find(kReserved.begin(), kReserved.end(), rule.name) != kReserved.end())
      reader.report(path + ".name", in_quotes(rule.name) +
                                        " has a meaning of its own in tests: "
                                        "give the rule another name");
  }
}

void read_tests(const Node& root, Settings& settings, Reader& reader) {
  const std::vector<Node>& items = items_of(root, "tests", kTestsMax, reader);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string path = item_path("tests", i, items[i], reader);
    PolicyTest& test = settings.policy.tests.emplace_back();
    reader.read_rows(items[i], path, test_rows(), test);
    const Node* const given = items[i].find("given");
    if (given != nullptr) read_given(*given, path + ".given", settings, test.given, reader);
    settle_name(settings.policy.tests, "test", path, reader);
    if (test.route.empty() && test.reason.empty() && test.rule.empty())
      reader.report(path + ".expect", "expects nothing: give route, reason or rule");
    const Place at = reader.places().of(path + ".expect");
    test.at = {at.line, at.column};
  }
}

}  // namespace spillway::config
