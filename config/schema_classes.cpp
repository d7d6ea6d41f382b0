// The rows of `classes` and their matchers.
#include "config/schema.h"

#include <array>
#include <utility>

namespace spillway::config {
namespace {

constexpr double kMillisecond = 1e6;
constexpr double kSecond = 1e9;
constexpr double kHour = 3600e9;

constexpr std::array<std::pair<Spill, std::string_view>, 4> kSpills{{
    {Spill::never, "never"},
    {Spill::when_sla_at_risk, "when_sla_at_risk"},
    {Spill::cheapest_before_deadline, "cheapest_before_deadline"},
    {Spill::always, "always"},
}};
constexpr std::array<std::pair<Prefer, std::string_view>, 4> kPrefers{{
    {Prefer::cheapest, "cheapest"},
    {Prefer::fastest, "fastest"},
    {Prefer::ordered, "ordered"},
    {Prefer::weighted, "weighted"},
}};

template <class Enum, std::size_t N>
std::string_view name_in(const std::array<std::pair<Enum, std::string_view>, N>& table, Enum one) {
  for (const auto& [value, name] : table) {
    if (value == one) return name;
  }
  return "";
}

template <class Enum, std::size_t N>
Enum named(const std::array<std::pair<Enum, std::string_view>, N>& table, const Value& value) {
  for (const auto& [one, name] : table) {
    if (name == std::get<std::string>(value)) return one;
  }
  return table.front().first;  // Not reached: rows accept their words alone.
}

template <class Enum, std::size_t N>
Names words_of(const std::array<std::pair<Enum, std::string_view>, N>& table) {
  Names words;
  for (const auto& [value, name] : table) words.emplace_back(name);
  return words;
}

const std::vector<Row<RequestClass>> kClassRows = {
    {{.key = "match",
      .kind = Kind::block,
      .fallback_sentence = "matched by nothing",
      .sentence = "Who belongs to the class: one block of matchers, a list of them (any), or the "
                  "word by_name: only who names the class, by key or x-spillway-class header."}},
    {{.key = "sla.ttft",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .fallback_sentence = "no promise",
      .sentence = "The first token is out within this time."},
     field<&RequestClass::sla, &Sla::ttft>()},
    {{.key = "sla.per_token",
      .kind = Kind::duration,
      .range = {kMillisecond, 60 * kSecond},
      .fallback_sentence = "no promise",
      .sentence = "Mean time of each token after the first."},
     field<&RequestClass::sla, &Sla::per_token>()},
    {{.key = "sla.deadline",
      .kind = Kind::duration,
      .range = {kMillisecond, 24 * kHour},
      .fallback_sentence = "limits.request_timeout",
      .sentence = "The whole answer is out within this time, or the request ends with 504."},
     field<&RequestClass::sla, &Sla::deadline>()},
    {{.key = "spill",
      .kind = Kind::word,
      .words = words_of(kSpills),
      .sentence = "never: stays on this machine. when_sla_at_risk: local while the predicted "
                  "times meet the SLA. cheapest_before_deadline: held until the engine has room to "
                  "spare, or sent to a provider just in time for sla.deadline, which it needs. "
                  "always: to providers."},
     field<&RequestClass::spill>()},
    {{.key = "prefer",
      .kind = Kind::word,
      .words = words_of(kPrefers),
      .sentence = "Which provider comes first among those that can meet the SLA: the cheapest, "
                  "the fastest, in the order of `providers`, or in turns, as often as its `weight` "
                  "says."},
     field<&RequestClass::prefer>()},
    {{.key = "providers",
      .kind = Kind::names,
      .fallback_sentence = "all providers",
      .sentence = "Who may take the class's requests; the order counts for `prefer: ordered`."},
     field<&RequestClass::providers>()},
    {{.key = "ttft_headroom",
      .kind = Kind::decimal,
      .range = {0.01, 1},
      .sentence = "Local only while the predicted first token comes within this share of "
                  "sla.ttft."},
     field<&RequestClass::ttft_headroom>()},
    {{.key = "ttft_hysteresis",
      .kind = Kind::decimal,
      .range = {0, 0.99},
      .sentence = "Once a request of the class had to leave because it would be late here, the "
                  "others do, too, until one is predicted within ttft_headroom less this share of "
                  "it. 0: each by itself."},
     field<&RequestClass::ttft_hysteresis>()},
    {{.key = "local_as_last_resort",
      .kind = Kind::flag,
      .sentence = "When no provider can take a request, the local target does, SLA or not."},
     field<&RequestClass::local_as_last_resort>()},
    {{.key = "promise_price_max",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence =
          "The most to pay providers for keeping sla.ttft for one request that the local "
          "target would be late for: its price over the share of prompts of its length that "
          "come in time there. What costs more stays, behind all others, while it is not "
          "much too late."},
     field<&RequestClass::promise_price_max>()},
    {{.key = "price_max",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence = "Providers at which a request is expected to cost more are not asked."},
     field<&RequestClass::price_max>()},
    {{.key = "architectures",
      .kind = Kind::names,
      .fallback_sentence = "any",
      .sentence =
          "Providers whose `architecture` is none of these, or not said, are not asked: for "
          "work that has to come from one family of models, wherever it is served."},
     field<&RequestClass::architectures>()},
    {{.key = "residency",
      .kind = Kind::names,
      .fallback_sentence = "anywhere",
      .sentence =
          "Providers whose `residency` is none of these, or not said, are never asked, whatever "
          "else is full or down; this machine always may be."},
     field<&RequestClass::residency>()},
    {{.key = "budget_share",
      .kind = Kind::decimal,
      .range = {0, 1},
      .fallback_sentence = "all of it",
      .sentence = "Of each budget that its requests are paid from, the tenant's and the key's, by "
                  "day and by month, they may together spend this share; past it they are refused "
                  "as past the budget, and other classes are not."},
     field<&RequestClass::budget_share>()},
    {{.key = "hedge.enabled",
      .kind = Kind::flag,
      .sentence =
          "A stream whose target is silent for long is asked for at the next one as well, the "
          "local engine too where it can be in time. Who says the first word answers; the other "
          "is left, and paid for what it has read. Once for a request, and never where a hard "
          "budget does not hold both."},
     field<&RequestClass::hedge, &Hedge::enabled>()},
    {{.key = "hedge.after",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .fallback_sentence = "the time in which 95 of 100 of the target's own first tokens come",
      .sentence = "How long the first is waited for alone."},
     field<&RequestClass::hedge, &Hedge::after>()},
    {{.key = "hedge.spend_share_max",
      .kind = Kind::decimal,
      .range = {0, 1},
      .sentence = "No more than this share of what the class has spent of late (five minutes ago "
                  "counts half) goes to targets whose answer nobody got; between targets that "
                  "cost nothing, of its requests."},
     field<&RequestClass::hedge, &Hedge::spend_share_max>()},
    {{.key = "feedback.enabled",
      .kind = Kind::flag,
      .sentence =
          "ttft_headroom follows what is measured: of answers of the local target that were "
          "predicted close to it, as many may come late as of the providers'. So does "
          "promise_price_max, where spend_per_hour_max is given."},
     field<&RequestClass::feedback, &Feedback::enabled>()},
    {{.key = "feedback.headroom_min",
      .kind = Kind::decimal,
      .range = {0.01, 1},
      .sentence = "The headroom never falls below this."},
     field<&RequestClass::feedback, &Feedback::headroom_min>()},
    {{.key = "feedback.headroom_max",
      .kind = Kind::decimal,
      .range = {0.01, 1},
      .sentence = "The headroom never rises above this."},
     field<&RequestClass::feedback, &Feedback::headroom_max>()},
    {{.key = "feedback.spend_per_hour_max",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence =
          "What the class is to spend at providers in an hour; ten minutes' worth may be put by. "
          "Two "
          "minutes' worth too much takes promise_price_max to 37 % of what it was, so that the "
          "promises that are dearest to keep are forgone first; what is spent less takes it back."},
     field<&RequestClass::feedback, &Feedback::spend_per_hour_max>()},
    {{.key = "feedback.attainment_min",
      .kind = Kind::decimal,
      .range = {0, 1},
      .sentence = "While fewer of the class's first tokens are in time than this share, of late "
                  "(five minutes ago counts half), promise_price_max rises, whatever is spent."},
     field<&RequestClass::feedback, &Feedback::attainment_min>()},
};

const std::vector<Row<ClassMatch>> kMatchRows = {
    {{.key = "key",
      .kind = Kind::names,
      .fallback_sentence = "any",
      .sentence = "Names under `keys`; the caller's is one of them."},
     field<&ClassMatch::keys>()},
    {{.key = "service_tier",
      .kind = Kind::names,
      .fallback_sentence = "any",
      .sentence = "The request's service_tier: auto, default, flex, priority, fast, scale or "
                  "ultrafast."},
     field<&ClassMatch::service_tiers>()},
    {{.key = "model",
      .kind = Kind::names,
      .fallback_sentence = "any",
      .sentence = "The model or alias that is asked for."},
     field<&ClassMatch::models>()},
    {{.key = "endpoint",
      .kind = Kind::names,
      .fallback_sentence = "any",
      .sentence = "The path of the request, e.g. /v1/chat/completions."},
     field<&ClassMatch::endpoints>()},
};

}  // namespace

const std::vector<Row<RequestClass>>& class_rows() { return kClassRows; }
const std::vector<Row<ClassMatch>>& match_rows() { return kMatchRows; }

const Names& service_tiers() {
  static const Names words = {"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"};
  return words;
}

const Names& model_paths() {
  static const Names paths = {"/v1/chat/completions", "/v1/responses",  "/v1/messages",
                              "/v1/completions",      "/v1/embeddings", "/v1/moderations",
                              "/v1/rerank",           "/v2/rerank",     "/rerank",
                              "/v1/responses/compact"};
  return paths;
}

Value to_value(Spill field) { return std::string(name_of(field)); }
Value to_value(Prefer field) { return std::string(name_of(field)); }
void assign(Spill& field, const Value& value) { field = named(kSpills, value); }
void assign(Prefer& field, const Value& value) { field = named(kPrefers, value); }
std::string_view name_of(Spill spill) { return name_in(kSpills, spill); }
std::string_view name_of(Prefer prefer) { return name_in(kPrefers, prefer); }

}  // namespace spillway::config
