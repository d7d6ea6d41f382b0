// The rows of those who call and pay: `keys`, `tenants`, and what a model may be used.
#include "config/schema.h"

namespace spillway::config {
namespace {

// A limit of 0 was not given.
template <auto Member, auto... Deeper>
auto limit() {
  using Owner = decltype(owner_of(Member));
  return Field<Owner>{
      [](const Owner& owner) {
        const int most = reach<Member, Deeper...>(owner);
        return most == 0 ? Value() : to_value(most);
      },
      [](Owner& owner, const Value& value) { assign(reach<Member, Deeper...>(owner), value); }};
}

constexpr double kRequestsMax = 100'000'000;
constexpr double kTokensMax = 2'000'000'000;
constexpr double kConcurrencyMax = 1'000'000;

const std::vector<Row<Key>> kKeyRows = {
    {{.key = "secret",
      .kind = Kind::secret,
      .required = true,
      .sentence = "What the client sends as its API key: env:NAME or file:PATH, never the key."},
     field<&Key::secret_source>()},
    {{.key = "tenant",
      .kind = Kind::text,
      .fallback_sentence = "the key's name",
      .sentence = "Who is charged in cost metrics and logs."},
     field<&Key::tenant>()},
    {{.key = "class",
      .kind = Kind::text,
      .fallback_sentence = "the matchers of the classes decide",
      .sentence = "The class of this key's requests that choose none, by header or service_tier."},
     field<&Key::default_class>()},
    {{.key = "may_name",
      .kind = Kind::names,
      .fallback_sentence = "all classes",
      .sentence =
          "The classes that this key's requests may choose, by their x-spillway-class header or "
          "their service_tier, beside its own."},
     field<&Key::classes>()},
    {{.key = "local_only",
      .kind = Kind::flag,
      .sentence = "This key's requests never leave the machine, whatever their class says."},
     field<&Key::local_only>()},
    {{.key = "residency",
      .kind = Kind::names,
      .fallback_sentence = "anywhere",
      .sentence = "Where this key's data may go from this machine, as `residency` of targets has "
                  "it; what its class says holds as well."},
     field<&Key::residency>()},
    {{.key = "project",
      .kind = Kind::text,
      .fallback_sentence = "none",
      .sentence = "What its costs are for, in reports: a part of its tenant."},
     field<&Key::project>()},
    {{.key = "models",
      .kind = Kind::names,
      .fallback_sentence = "all models",
      .sentence = "The models that this key may ask for."},
     field<&Key::models>()},
    {{.key = "scopes",
      .kind = Kind::names,
      .words = key_scopes(),
      .fallback_sentence = "everything",
      .sentence = "What this key may call, by the word behind /v1/."},
     field<&Key::scopes>()},
    {{.key = "limits.requests_per_minute",
      .kind = Kind::count,
      .range = {1, kRequestsMax},
      .fallback_sentence = "no limit",
      .sentence = "What this key may ask; more get 429 and are told when."},
     limit<&Key::limits, &Limits::requests_per_minute>()},
    {{.key = "limits.tokens_per_minute",
      .kind = Kind::count,
      .range = {1, kTokensMax},
      .fallback_sentence = "no limit",
      .sentence = "The same for prompt and completion tokens."},
     limit<&Key::limits, &Limits::tokens_per_minute>()},
    {{.key = "limits.concurrency",
      .kind = Kind::count,
      .range = {1, kConcurrencyMax},
      .fallback_sentence = "no limit",
      .sentence = "Its requests that may be answered at once."},
     limit<&Key::limits, &Limits::concurrency>()},
    {{.key = "budget.day",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence = "What it may spend from midnight to midnight, UTC."},
     field<&Key::budget, &Budget::day>()},
    {{.key = "budget.month",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence = "What it may spend in a month of UTC."},
     field<&Key::budget, &Budget::month>()},
    {{.key = "budget.warn_at",
      .kind = Kind::decimal,
      .range = {0, 1},
      .sentence = "From this share on, answers carry x-spillway-budget-warning."},
     field<&Key::budget, &Budget::warn_at>()},
    {{.key = "budget.hard",
      .kind = Kind::flag,
      .sentence = "Never past it: answers are cut (finish_reason `length`) where it ends."},
     field<&Key::budget, &Budget::hard>()},
};

const std::vector<Row<Tenant>> kTenantRows = {
    {{.key = "limits.requests_per_minute",
      .kind = Kind::count,
      .range = {1, kRequestsMax},
      .fallback_sentence = "no limit",
      .sentence = "What its keys together may ask; more get 429 and are told when."},
     limit<&Tenant::limits, &Limits::requests_per_minute>()},
    {{.key = "limits.tokens_per_minute",
      .kind = Kind::count,
      .range = {1, kTokensMax},
      .fallback_sentence = "no limit",
      .sentence = "The same for prompt and completion tokens."},
     limit<&Tenant::limits, &Limits::tokens_per_minute>()},
    {{.key = "limits.concurrency",
      .kind = Kind::count,
      .range = {1, kConcurrencyMax},
      .fallback_sentence = "no limit",
      .sentence = "Its keys' requests that may be answered at once."},
     limit<&Tenant::limits, &Limits::concurrency>()},
    {{.key = "budget.day",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence = "What its keys may spend from midnight to midnight, UTC."},
     field<&Tenant::budget, &Budget::day>()},
    {{.key = "budget.month",
      .kind = Kind::money,
      .fallback_sentence = "no limit",
      .sentence = "What its keys may spend in a month of UTC."},
     field<&Tenant::budget, &Budget::month>()},
    {{.key = "budget.warn_at",
      .kind = Kind::decimal,
      .range = {0, 1},
      .sentence = "From this share on, answers carry x-spillway-budget-warning."},
     field<&Tenant::budget, &Budget::warn_at>()},
    {{.key = "budget.hard",
      .kind = Kind::flag,
      .sentence = "Never past it: answers are cut (finish_reason `length`) where it ends."},
     field<&Tenant::budget, &Budget::hard>()},
};

const std::vector<Row<ModelLimits>> kModelLimitRows = {
    {{.key = "requests_per_minute",
      .kind = Kind::count,
      .range = {1, kRequestsMax},
      .fallback_sentence = "no limit",
      .sentence = "Requests for it in a minute; more get 429 and are told when."},
     limit<&ModelLimits::limits, &Limits::requests_per_minute>()},
    {{.key = "tokens_per_minute",
      .kind = Kind::count,
      .range = {1, kTokensMax},
      .fallback_sentence = "no limit",
      .sentence = "The same for prompt and completion tokens."},
     limit<&ModelLimits::limits, &Limits::tokens_per_minute>()},
    {{.key = "concurrency",
      .kind = Kind::count,
      .range = {1, kConcurrencyMax},
      .fallback_sentence = "no limit",
      .sentence = "Requests for it that may be answered at once."},
     limit<&ModelLimits::limits, &Limits::concurrency>()},
};

}  // namespace

const std::vector<Row<Key>>& key_rows() { return kKeyRows; }
const std::vector<Row<Tenant>>& tenant_rows() { return kTenantRows; }
const std::vector<Row<ModelLimits>>& model_limit_rows() { return kModelLimitRows; }

const Names& key_scopes() {
  static const Names words = {"batches", "chat",      "completions", "embeddings",
                              "files",   "messages",  "models",      "moderations",
                              "rerank",  "responses", "uploads"};
  return words;
}

}  // namespace spillway::config
