// The rows of `rules` and `tests`.
#include "config/schema.h"

#include <array>
#include <utility>

namespace spillway::config {
namespace {

constexpr std::array<std::pair<RouteKind, std::string_view>, 8> kRoutes{{
    {RouteKind::local, "local"},
    {RouteKind::local_only, "local_only"},
    {RouteKind::cloud, "cloud"},
    {RouteKind::cheapest, "cheapest"},
    {RouteKind::cheapest_meeting_sla, "cheapest_meeting_sla"},
    {RouteKind::fastest, "fastest"},
    {RouteKind::by_class, "class"},
    {RouteKind::refuse, "refuse"},
}};

const std::vector<Row<Rule>> kRuleRows = {
    {{.key = "name",
      .kind = Kind::text,
      .fallback_sentence = "rule-N, counted from 1",
      .sentence = "What headers, logs and decisions call it."},
     field<&Rule::name>()},
    {{.key = "if",
      .kind = Kind::text,
      .fallback_sentence = "always",
      .sentence =
          "A condition over facts, in the language below. Put it in quotes where YAML would "
          "read its commas, colons or brackets."},
     field<&Rule::condition>()},
    {{.key = "route",
      .kind = Kind::text,
      .required = true,
      .sentence =
          "Where to. The name of a target: it, the others behind it. local: the local target, the "
          "providers behind it. (Where that target does not serve the model, or the class does not "
          "use it, the class decides.) local_only: the local target or nobody. cloud: the "
          "providers as "
          "the class prefers. cheapest: whoever asks least for this request, in time or not. "
          "cheapest_meeting_sla: the same among those expected to keep the class's promises, the "
          "least late where nobody is. fastest: the earliest last token. class: as if there were "
          "no rules. refuse: answered with 403 and `message`."},
     field<&Rule::route>()},
    {{.key = "among",
      .kind = Kind::names,
      .fallback_sentence = "all providers, and behind them the local target as the class's "
                           "local_as_last_resort says",
      .sentence = "The targets that cloud, cheapest, cheapest_meeting_sla and fastest choose from, "
                  "the local one if it is named; nobody else is asked, not even when they fail."},
     field<&Rule::among>()},
    {{.key = "max_price",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence = "With those four: who is expected to ask more for this request is left out."},
     field<&Rule::max_price>()},
    {{.key = "message",
      .kind = Kind::text,
      .fallback_sentence = "The policy refuses this request.",
      .sentence = "What a refused client reads."},
     field<&Rule::message>()},
};

const std::vector<Row<PolicyTest>> kTestRows = {
    {{.key = "name",
      .kind = Kind::text,
      .fallback_sentence = "test-N, counted from 1",
      .sentence = "What `spillway check` calls it."},
     field<&PolicyTest::name>()},
    {{.key = "given",
      .kind = Kind::block,
      .fallback_sentence = "`model` is the first alias, 100 prompt tokens",
      .sentence =
          "Facts of the situation, such as `queue.tokens: 90000` or `predicted_ttft(local): "
          "2s`. Prices and promises cannot be given: they follow from the file."}},
    {{.key = "expect.route",
      .kind = Kind::text,
      .fallback_sentence = "anything",
      .sentence = "The target that is tried first; `held` for work that waits; `refused`."},
     field<&PolicyTest::route>()},
    {{.key = "expect.reason",
      .kind = Kind::text,
      .fallback_sentence = "anything",
      .sentence = "The reason, as in x-spillway-reason; of what is refused the error's code."},
     field<&PolicyTest::reason>()},
    {{.key = "expect.rule",
      .kind = Kind::text,
      .fallback_sentence = "anything",
      .sentence = "The name of the rule that decides, or `none`."},
     field<&PolicyTest::rule>()},
};

}  // namespace

const std::vector<Row<Rule>>& rule_rows() { return kRuleRows; }
const std::vector<Row<PolicyTest>>& test_rows() { return kTestRows; }

const Names& route_words() {
  static const Names words = [] {
    Names names;
    for (const auto& [kind, word] : kRoutes) names.emplace_back(word);
    return names;
  }();
  return words;
}

std::optional<RouteKind> route_kind(std::string_view word) {
  for (const auto& [kind, name] : kRoutes) {
    if (name == word) return kind;
  }
  return std::nullopt;
}

}  // namespace spillway::config
