#include "config/effective.h"

#include "config/schema.h"

#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include <string_view>

namespace spillway::config {
namespace {

void emit_names(YAML::Emitter& out, const Names& names) {
  out << YAML::Flow << YAML::BeginSeq;
  for (const std::string& name : names) out << name;
  out << YAML::EndSeq;
}

void emit_pairs(YAML::Emitter& out, const Pairs& pairs) {
  out << YAML::Flow << YAML::BeginMap;
  for (const auto& [key, value] : pairs) out << YAML::Key << key << YAML::Value << value;
  out << YAML::EndMap;
}

void emit_value(YAML::Emitter& out, Kind kind, const Value& value) {
  if (const auto* names = std::get_if<Names>(&value)) {
    if (kind == Kind::urls && names->size() == 1) return void(out << names->front());
    emit_names(out, *names);
  } else if (const auto* pairs = std::get_if<Pairs>(&value)) {
    emit_pairs(out, *pairs);
  } else {
    out << format_value(kind, value);
  }
}

bool is_given(const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return false;
  if (const auto* text = std::get_if<std::string>(&value)) return !text->empty();
  if (const auto* names = std::get_if<Names>(&value)) return !names->empty();
  return true;
}

// Where a value came from: the line that gives it, or nowhere.
class Sources {
 public:
  explicit Sources(const Origins& origins) : lines_(origins.lines) {}

  void tell(YAML::Emitter& out, const std::string& path) const {
    if (lines_.empty()) return;  // Made in memory: nobody knows.
    const auto found = lines_.find(path);
    out << YAML::Comment(found == lines_.end() ? "default"
                                               : "line " + std::to_string(found->second));
  }

 private:
  const std::map<std::string, int>& lines_;
};

// Writes the entries of a block. Rows of the same inner block ("sla.ttft", "sla.deadline") stand
// together in the tables, so that a change of the part before the dot ends one and opens the next.
template <class Owner>
void emit_rows(YAML::Emitter& out, const std::vector<Row<Owner>>& rows, const Owner& owner,
               const Sources& sources, const std::string& path) {
  std::string_view open;
  for (const Row<Owner>& row : rows) {
    if (row.field.get == nullptr) continue;
    const Value value = row.field.get(owner);
    if (!is_given(value)) continue;
    const auto dot = row.text.key.find('.');
    const auto block = row.text.key.substr(0, dot == std::string_view::npos ? 0 : dot);
    if (block != open && !open.empty()) out << YAML::EndMap;
    if (block != open && !block.empty()) {
      out << YAML::Key << std::string(block) << YAML::Value << YAML::BeginMap;
    }
    open = block;
    const auto key = block.empty() ? row.text.key : row.text.key.substr(dot + 1);
    out << YAML::Key << std::string(key) << YAML::Value;
    emit_value(out, row.text.kind, value);
    sources.tell(out, path + std::string(row.text.key));
  }
  if (!open.empty()) out << YAML::EndMap;
}

template <class Owner>
void emit_named(YAML::Emitter& out, const std::vector<Row<Owner>>& rows, const Owner& owner,
                const Sources& sources, const std::string& block, const char* kind = nullptr) {
  const std::string path = block + "." + owner.name + ".";
  out << YAML::Key << owner.name << YAML::Value << YAML::BeginMap;
  if (kind != nullptr) out << YAML::Key << "kind" << YAML::Value << kind;
  if (kind != nullptr) sources.tell(out, path + "kind");
  emit_rows(out, rows, owner, sources, path);
  out << YAML::EndMap;
}

void begin(YAML::Emitter& out, const char* block) {
  out << YAML::Key << block << YAML::Value << YAML::BeginMap;
}

void emit_keys(YAML::Emitter& out, const std::vector<Key>& keys, const Sources& sources) {
  if (keys.empty()) return;
  begin(out, "keys");
  for (Key key : keys) {
    if (key.secret_source.empty()) key.secret_source = "***";
    emit_named(out, key_rows(), key, sources, "keys");
  }
  out << YAML::EndMap;
}

void emit_tenants(YAML::Emitter& out, const Settings& settings, const Sources& sources) {
  if (!settings.tenants.empty()) {
    begin(out, "tenants");
    for (const Tenant& tenant : settings.tenants)
      emit_named(out, tenant_rows(), tenant, sources, "tenants");
    out << YAML::EndMap;
  }
  if (settings.model_limits.empty()) return;
  begin(out, "model_limits");
  for (const ModelLimits& model : settings.model_limits)
    emit_named(out, model_limit_rows(), model, sources, "model_limits");
  out << YAML::EndMap;
}

void emit_targets(YAML::Emitter& out, const Settings& settings, const Sources& sources) {
  begin(out, "targets");
  for (const LocalTarget& local : settings.local)
    emit_named(out, local_rows(), local, sources, "targets", "local");
  for (ProviderTarget provider : settings.providers) {
    if (provider.key_source.empty() && !provider.key.empty()) provider.key_source = "***";
    const bool is_here = provider.is_here();
    emit_named(out, is_here ? encoder_rows() : provider_rows(), provider, sources, "targets",
               is_here ? "encoder" : "provider");
  }
  out << YAML::EndMap;
}

void emit_aliases(YAML::Emitter& out, const std::vector<Alias>& aliases, const Sources& sources) {
  if (aliases.empty()) return;
  begin(out, "models");
  for (const Alias& alias : aliases) {
    out << YAML::Key << alias.name << YAML::Value;
    if (alias.model_on.empty()) {
      out << "policy";
    } else {
      emit_pairs(out, Pairs(alias.model_on.begin(), alias.model_on.end()));
    }
    sources.tell(out, "models." + alias.name);
  }
  out << YAML::EndMap;
}

void emit_match(YAML::Emitter& out, const RequestClass& one, const Sources& sources) {
  const std::string path = "classes." + one.name + ".match";
  if (one.by_name) {
    out << YAML::Key << "match" << YAML::Value << "by_name";
    sources.tell(out, path);
  } else if (!one.match.empty()) {
    out << YAML::Key << "match" << YAML::Value << YAML::BeginSeq;
    for (std::size_t i = 0; i < one.match.size(); ++i) {
      const std::string item = one.match.size() > 1 ? "[" + std::to_string(i) + "]." : ".";
      out << YAML::BeginMap;
      emit_rows(out, match_rows(), one.match[i], sources, path + item);
      out << YAML::EndMap;
    }
    out << YAML::EndSeq;
  }
}

void emit_classes(YAML::Emitter& out, const std::vector<RequestClass>& classes,
                  const Sources& sources) {
  begin(out, "classes");
  for (const RequestClass& one : classes) {
    out << YAML::Key << one.name << YAML::Value << YAML::BeginMap;
    emit_match(out, one, sources);
    emit_rows(out, class_rows(), one, sources, "classes." + one.name + ".");
    out << YAML::EndMap;
  }
  out << YAML::EndMap;
}

template <class Owner, class Inner>
void emit_list(YAML::Emitter& out, const char* block, const std::vector<Row<Owner>>& rows,
               const std::vector<Owner>& all, const Sources& sources, const Inner& inner) {
  if (all.empty()) return;
  out << YAML::Key << block << YAML::Value << YAML::BeginSeq;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string path = std::string(block) + "[" + std::to_string(i) + "].";
    out << YAML::BeginMap;
    inner(all[i]);
    emit_rows(out, rows, all[i], sources, path);
    out << YAML::EndMap;
  }
  out << YAML::EndSeq;
}

// "predicted_ttft(ai-hub)"
std::string word_of(const language::FactRef& fact, const Settings& settings) {
  std::string word(language::row_of(fact.fact).word);
  if (fact.target < 0) return word;
  const auto provider = static_cast<std::size_t>(fact.target - 1);
  word += "(";
  word += fact.target == 0 ? settings.local.front().name : settings.providers[provider].name;
  return word + ")";
}

void emit_given(YAML::Emitter& out, const PolicyTest& test, const Settings& settings) {
  if (test.given.empty()) return;
  begin(out, "given");
  for (const GivenFact& given : test.given)
    out << YAML::Key << word_of(given.fact, settings) << YAML::Value << given.text
        << YAML::Comment("line " + std::to_string(given.at.line));
  out << YAML::EndMap;
}

}  // namespace

std::string effective_yaml(const Settings& settings) {
  const Sources sources(settings.origins);
  YAML::Emitter out;
  out << YAML::BeginMap;
  emit_rows(out, settings_rows(), settings, sources, "");
  emit_keys(out, settings.keys, sources);
  emit_tenants(out, settings, sources);
  emit_targets(out, settings, sources);
  emit_aliases(out, settings.policy.aliases, sources);
  emit_classes(out, settings.policy.classes, sources);
  emit_list(out, "rules", rule_rows(), settings.policy.rules, sources, [](const Rule&) {});
  emit_list(out, "tests", test_rows(), settings.policy.tests, sources,
            [&](const PolicyTest& test) { emit_given(out, test, settings); });
  out << YAML::EndMap;
  const std::string head = "# In force";
  const std::string source = settings.source.empty() ? "" : ", read from " + settings.source;
  const std::string version = settings.sha256.empty() ? "" : ", sha256 " + settings.sha256;
  return head + source + version + "\n" + out.c_str() + "\n";
}

}  // namespace spillway::config
