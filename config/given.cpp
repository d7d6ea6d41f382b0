#include "config/given.h"

#include "config/language/tree.h"
#include "config/nearest.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace spillway::config {
namespace {

constexpr double kGivenMax = 1e7;  // Tokens, seconds.
constexpr double kRequestsMax = 10'000.0;

using language::Fact;
using language::FactRef;
using language::FactRow;
using language::Type;

template <class Owner>
Names names_of(const std::vector<Owner>& all, std::string Owner::* name = &Owner::name) {
  Names names;
  for (const Owner& one : all) names.push_back(one.*name);
  return names;
}

// Empty: anything may be said.
Names known_texts(Fact fact, const Settings& settings) {
  switch (fact) {
    case Fact::weekday: return {language::weekdays().begin(), language::weekdays().end()};
    case Fact::request_class: return names_of(settings.policy.classes);
    case Fact::key: return names_of(settings.keys);
    case Fact::tenant: return names_of(settings.keys, &Key::tenant);
    default: return {};
  }
}

// Reads the entries of one block.
class GivenReading {
 public:
  GivenReading(const Settings& settings, const std::string& path, std::vector<GivenFact>& given,
               Reader& reader)
      : settings_(settings),
        targets_(fact_targets(settings)),
        path_(path),
        given_(given),
        reader_(reader) {}

  void read(const Node& node) {
    for (const Entry& entry : node.entries) read(entry, path_ + "." + shown(entry.key));
    for (const GivenFact& one : given_) compare_times(one);
  }

 private:
  void read(const Entry& entry, const std::string& path) {
    reader_.places().note(path, {entry.line, entry.column});
    const auto fact = language::parse_fact(entry.key, targets_);
    if (const auto* mistake = std::get_if<language::Mistake>(&fact)) {
      const Node key{.shape = Node::Shape::scalar,
                     .line = entry.line,
                     .column = entry.column,
                     .text = entry.key,
                     .text_column = entry.column};
      return report_mistake(*mistake, key, path, reader_);
    }
    const auto& ref = std::get<FactRef>(fact);
    const FactRow& row = language::row_of(ref.fact);
    if (!row.givable)
      return reader_.report(path, "cannot be given: it follows from the file and the other facts");
    if (entry.value.shape != Node::Shape::scalar)
      return reader_.report(path, "expected " + std::string(name_of(row.type)));
    const auto value = language::parse_literal(entry.value.text, row.type);
    if (const auto* mistake = std::get_if<language::Mistake>(&value))
      return report_mistake(*mistake, entry.value, path, reader_);
    const double number = std::get<language::Node>(value).number;
    const std::string wrong = doubt(row, entry.value.text, number);
    if (!wrong.empty()) return reader_.report(path, in_quotes(entry.value.text) + wrong);
    given_.push_back({.fact = ref,
                      .number = number,
                      .text = entry.value.text,
                      .at = {entry.line, entry.column}});
  }

  // Why a value of the right type can never be; empty: it can.
  std::string doubt(const FactRow& row, const std::string& text, double number) const {
    const Names known = known_texts(row.fact, settings_);
    if (!known.empty() && std::find(known.begin(), known.end(), text) == known.end())
      return " is no " + std::string(row.word) + suggestion(text, known);
    const bool counts = row.type == Type::number || row.type == Type::duration;
    if (counts && number > kGivenMax) return " is beyond all bounds";
    switch (row.fact) {
      case Fact::queue_requests:
      case Fact::running_requests:
      case Fact::in_flight:
        if (number > kRequestsMax) return " is more than the 10000 requests that can be given";
        [[fallthrough]];
      case Fact::prompt_tokens:
      case Fact::cached_tokens:
      case Fact::max_tokens:
      case Fact::queue_tokens: return number == std::floor(number) ? "" : " is not a whole number";
      case Fact::budget_left:
      case Fact::kv_free: return number <= 1.0 ? "" : " is more than all: write a share up to 100%";
      case Fact::deadline_left: {
        const std::chrono::duration<double> most = settings_.server.limits.request_timeout;
        return number <= most.count() ? "" : " is above limits.request_timeout";
      }
      default: return "";
    }
  }

  // The last token does not come before the first.
  void compare_times(const GivenFact& one) {
    if (one.fact.fact != Fact::predicted_finish) return;
    for (const GivenFact& other : given_) {
      if (other.fact != FactRef{Fact::predicted_ttft, one.fact.target}) continue;
      if (one.number >= other.number) continue;
      reader_.report_at({one.at.line, one.at.column}, path_,
                        "predicted_finish " + one.text + " is before predicted_ttft " + other.text);
    }
  }

  const Settings& settings_;
  const language::Targets targets_;
  const std::string& path_;
  std::vector<GivenFact>& given_;
  Reader& reader_;
};

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

void read_given(const Node& node, const std::string& path, const Settings& settings,
                std::vector<GivenFact>& given, Reader& reader) {
  if (node.shape == Node::Shape::nothing) return;
  if (node.shape != Node::Shape::mapping) {
    reader.report(path, "expected a block `fact: value`");
    return;
  }
  GivenReading(settings, path, given, reader).read(node);
}

GivenFacts parse_given(std::string_view text, const Settings& settings) {
  GivenFacts result;
  Document document = parse_document("{" + std::string(text) + "}");
  result.problems = std::move(document.problems);
  if (!result.problems.empty()) return result;
  Reader reader;
  read_given(document.root, "given", settings, result.facts, reader);
  result.problems = std::move(reader.problems());
  return result;
}

}  // namespace spillway::config
