#include "config/given.h"

#include "config/language/tree.h"
#include "config/nearest.h"

#include <utility>

namespace spillway::config {
namespace {

constexpr double kGivenMax = 1e7;  // Tokens, requests, seconds.

}  // namespace

language::Targets fact_targets(const Settings& settings) {
  language::Targets targets;
  if (!settings.local.empty()) targets.local = settings.local.front().name;
  for (const ProviderTarget& provider : settings.providers)
    targets.providers.push_back(provider.name);
  return targets;
}

// A mistake inside a scalar: its exact column where that can be told.
void report_mistake(const language::Mistake& mistake, const Node& node, const std::string& path,
                    Reader& reader) {
  std::string message = mistake.message;
  if (!mistake.unknown.empty()) message += suggestion(mistake.unknown, mistake.known);
  Place place{node.line, node.column};
  if (node.text_column > 0) {
    place.column = node.text_column + static_cast<int>(mistake.at);
  } else if (mistake.at > 0 && mistake.at < node.text.size()) {
    message += ", at " + in_quotes(std::string_view(node.text).substr(mistake.at));
  }
  reader.report_at(place, path, std::move(message));
}

void read_given(const Node& node, const std::string& path, const language::Targets& targets,
                std::vector<GivenFact>& given, Reader& reader) {
  if (node.shape == Node::Shape::nothing) return;
  if (node.shape != Node::Shape::mapping) {
    reader.report(path, "expected a block `fact: value`");
    return;
  }
  for (const Entry& entry : node.entries) {
    const std::string fact_path = path + "." + shown(entry.key);
    reader.places().note(fact_path, {entry.line, entry.column});
    const auto fact = language::parse_fact(entry.key, targets);
    if (const auto* mistake = std::get_if<language::Mistake>(&fact)) {
      const Node key{.shape = Node::Shape::scalar,
                     .line = entry.line,
                     .column = entry.column,
                     .text = entry.key,
                     .text_column = entry.column};
      report_mistake(*mistake, key, fact_path, reader);
      continue;
    }
    const auto& ref = std::get<language::FactRef>(fact);
    const language::FactRow& row = language::row_of(ref.fact);
    if (!row.givable) {
      reader.report(fact_path, "cannot be given: it follows from the file and the other facts");
      continue;
    }
    if (entry.value.shape != Node::Shape::scalar) {
      reader.report(fact_path, "expected " + std::string(name_of(row.type)));
      continue;
    }
    const auto value = language::parse_literal(entry.value.text, row.type);
    if (const auto* mistake = std::get_if<language::Mistake>(&value)) {
      report_mistake(*mistake, entry.value, fact_path, reader);
      continue;
    }
    const double number = std::get<language::Node>(value).number;
    const bool counts = row.type == language::Type::number || row.type == language::Type::duration;
    if (counts && number > kGivenMax) {
      reader.report(fact_path, in_quotes(entry.value.text) + " is beyond all bounds");
      continue;
    }
    given.push_back({.fact = ref,
                     .number = number,
                     .text = entry.value.text,
                     .at = {entry.line, entry.column}});
  }
}

GivenFacts parse_given(std::string_view text, const Settings& settings) {
  GivenFacts result;
  Document document = parse_document("{" + std::string(text) + "}");
  result.problems = std::move(document.problems);
  if (!result.problems.empty()) return result;
  Reader reader;
  read_given(document.root, "given", fact_targets(settings), result.facts, reader);
  result.problems = std::move(reader.problems());
  return result;
}

}  // namespace spillway::config
