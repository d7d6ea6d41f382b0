// Every key an operator may write: one row each, with its kind, range, whether a reload applies it,
// and a sentence. The reader, its checks, the reference page, the JSON schema, the effective dump
// and the restart check are all made from these rows; defaults come from the structs in settings.h.
//
// The tables are immutable and callable from any thread.
#pragma once

#include "config/field.h"
#include "config/settings.h"
#include "config/value.h"

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

// In the canonical unit of the row's kind (Value). Applies to numbers, durations, sizes and money.
struct Range {
  double min = 0;
  double max = std::numeric_limits<double>::infinity();
};

enum class Reload { live, restart };

// What a row says, without the field behind it.
struct RowText {
  std::string_view key;  // Dotted, within its block: "sla.ttft".
  Kind kind = Kind::text;
  Range range = {};
  Names words = {};  // Kind::word, and names if any: what may be written.
  bool required = false;
  std::string fallback = {};  // In force if not given, where the struct has no default.
  std::string_view fallback_sentence =
      {};  // For the reference, where the default is another key's.
  Reload reload = Reload::live;
  std::string_view sentence;
};

template <class Owner>
struct Row {
  RowText text;
  Field<Owner> field = {};  // Empty for Kind::block.
};

const std::vector<Row<Settings>>& settings_rows();        // The top level of the file.
const std::vector<Row<Key>>& key_rows();                  // keys.NAME.*
const std::vector<Row<Tenant>>& tenant_rows();            // tenants.NAME.*
const std::vector<Row<ModelLimits>>& model_limit_rows();  // model_limits.NAME.*
const std::vector<Row<LocalTarget>>& local_rows();        // targets.NAME.* with kind: local
const std::vector<Row<ProviderTarget>>& provider_rows();  // targets.NAME.* with kind: provider
const std::vector<Row<ProviderTarget>>& price_rows();     // …and of these, what it asks
const std::vector<Row<ProviderTarget>>& encoder_rows();   // targets.NAME.* with kind: encoder
const std::vector<Row<RequestClass>>& class_rows();       // classes.NAME.*
const std::vector<Row<ClassMatch>>& match_rows();         // classes.NAME.match.*
const std::vector<Row<Rule>>& rule_rows();                // rules[N].*
const std::vector<Row<PolicyTest>>& test_rows();          // tests[N].*

// The blocks of the file in reading order, for the reference page and the JSON schema.
struct Section {
  std::string_view title;
  std::string_view path;  // "" or "targets.NAME"
  std::string_view sentence;
  std::vector<RowText> rows;  // `fallback` filled in from the structs.
};
const std::vector<Section>& sections();

std::string_view name_of(Spill spill);
std::string_view name_of(Prefer prefer);

// What `route` may say besides the name of a target: "local_only" and its like.
const Names& route_words();

// What a key may be restricted to: the first word of a path behind its version.
const Names& key_scopes();

// What a request's service_tier may be, and the paths at which models are asked: all others are
// refused before any class is looked for.
const Names& service_tiers();
const Names& model_paths();
std::optional<RouteKind> route_kind(std::string_view word);

// "between 1 and 256", "at least 1ms"; empty where nothing bounds the row but zero.
std::string describe(Kind kind, const Range& range);

}  // namespace spillway::config
