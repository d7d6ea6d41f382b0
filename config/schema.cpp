#include "config/schema.h"

#include <tuple>
#include <utility>

namespace spillway::config {
namespace {

// The rows as the reference shows them: with the default that a fresh struct holds.
template <class Owner>
std::vector<RowText> texts(const std::vector<Row<Owner>>& rows) {
  const Owner fresh{};
  std::vector<RowText> out;
  for (const Row<Owner>& row : rows) {
    RowText text = row.text;
    const bool has_default = row.field.get != nullptr && !text.required && text.fallback.empty() &&
                             text.fallback_sentence.empty();
    if (has_default) text.fallback = format_value(text.kind, row.field.get(fresh));
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace

Value to_value(const Endpoint& field) {
  const bool ipv6 = field.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + field.host + "]" : field.host;
  return host + ":" + std::to_string(field.port);
}

Value to_value(const std::vector<ServedModel>& field) {
  Pairs pairs;
  for (const ServedModel& model : field) pairs.emplace_back(model.name, model.upstream);
  return pairs;
}

void assign(Endpoint& field, const Value& value) {
  std::tie(field.host, field.port) = split_endpoint(std::get<std::string>(value));
}

void assign(std::vector<ServedModel>& field, const Value& value) {
  field.clear();
  for (const auto& [name, upstream] : std::get<Pairs>(value)) field.push_back({name, upstream});
}

const std::vector<Section>& sections() {
  static const std::vector<Section> all = {
      {"The file", "", "What stands at its top level.", texts(settings_rows())},
      {"A client's key", "keys.NAME", "Who may call.", texts(key_rows())},
      {"A tenant", "tenants.NAME", "What those who pay may use and spend.", texts(tenant_rows())},
      {"A model's limits", "model_limits.NAME", "What all callers together may use of it.",
       texts(model_limit_rows())},
      {"The local target", "targets.NAME", "The engine on this machine; at most one.",
       texts(local_rows())},
      {"A provider", "targets.NAME", "An OpenAI-compatible service reached over HTTP.",
       texts(provider_rows())},
      {"An encoder", "targets.NAME",
       "A model on this machine that makes embeddings. Requests come to it as to a provider, but "
       "stay on the machine: `spill: never` and `local_only` allow it.",
       texts(encoder_rows())},
      {"A class", "classes.NAME", "What a kind of requests is promised, and where they may go.",
       texts(class_rows())},
      {"Who belongs to a class", "classes.NAME.match",
       "Every matcher given must fit; each takes one value or a list of which one fits.",
       texts(match_rows())},
      {"A rule", "rules[N]",
       "Rules stand in a list and are looked at in its order, before the request's class decides: "
       "the first whose condition holds does. A rule chooses among what class and key allow: "
       "`spill: never`, `local_only`, `residency` and the class's `providers` hold whatever it "
       "says.",
       texts(rule_rows())},
      {"A policy's test", "tests[N]",
       "What the policy should make of a situation: Monday noon, an idle engine and healthy "
       "providers "
       "at their catalogue's figures, but for what is given. `spillway check` runs them, and a "
       "file whose "
       "tests fail is not loaded.",
       texts(test_rows())},
  };
  return all;
}

std::string describe(Kind kind, const Range& range) {
  const auto show = [kind](double bound) {
    if (kind == Kind::decimal) return format_value(kind, Value(bound));
    return format_value(kind, Value(static_cast<std::int64_t>(bound)));
  };
  const bool bounded = range.max < std::numeric_limits<double>::infinity();
  if (bounded) return "between " + show(range.min) + " and " + show(range.max);
  return range.min > 0 ? "at least " + show(range.min) : "";
}

}  // namespace spillway::config
