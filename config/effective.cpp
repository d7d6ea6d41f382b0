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

// Writes the entries of a block. Rows of the same inner block ("sla.ttft", "sla.deadline") stand
// together in the tables, so that a change of the part before the dot ends one and opens the next.
template <class Owner>
void emit_rows(YAML::Emitter& out, const std::vector<Row<Owner>>& rows, const Owner& owner) {
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
  }
  if (!open.empty()) out << YAML::EndMap;
}

template <class Owner>
void emit_named(YAML::Emitter& out, const std::vector<Row<Owner>>& rows, const Owner& owner,
                const char* kind = nullptr) {
  out << YAML::Key << owner.name << YAML::Value << YAML::BeginMap;
  if (kind != nullptr) out << YAML::Key << "kind" << YAML::Value << kind;
  emit_rows(out, rows, owner);
  out << YAML::EndMap;
}

void begin(YAML::Emitter& out, const char* block) {
  out << YAML::Key << block << YAML::Value << YAML::BeginMap;
}

void emit_keys(YAML::Emitter& out, const std::vector<Key>& keys) {
  if (keys.empty()) return;
  begin(out, "keys");
  for (Key key : keys) {
    if (key.secret_source.empty()) key.secret_source = "***";
    emit_named(out, key_rows(), key);
  }
  out << YAML::EndMap;
}

void emit_targets(YAML::Emitter& out, const Settings& settings) {
  begin(out, "targets");
  for (const LocalTarget& local : settings.local) emit_named(out, local_rows(), local, "local");
  for (ProviderTarget provider : settings.providers) {
    if (provider.key_source.empty() && !provider.key.empty()) provider.key_source = "***";
    emit_named(out, provider_rows(), provider, "provider");
  }
  out << YAML::EndMap;
}

void emit_aliases(YAML::Emitter& out, const std::vector<Alias>& aliases) {
  if (aliases.empty()) return;
  begin(out, "models");
  for (const Alias& alias : aliases) {
    out << YAML::Key << alias.name << YAML::Value;
    if (alias.model_on.empty()) {
      out << "policy";
    } else {
      emit_pairs(out, Pairs(alias.model_on.begin(), alias.model_on.end()));
    }
  }
  out << YAML::EndMap;
}

void emit_match(YAML::Emitter& out, const RequestClass& one) {
  if (one.by_name) {
    out << YAML::Key << "match" << YAML::Value << "by_name";
  } else if (!one.match.empty()) {
    out << YAML::Key << "match" << YAML::Value << YAML::BeginSeq;
    for (const ClassMatch& match : one.match) {
      out << YAML::BeginMap;
      emit_rows(out, match_rows(), match);
      out << YAML::EndMap;
    }
    out << YAML::EndSeq;
  }
}

void emit_classes(YAML::Emitter& out, const std::vector<RequestClass>& classes) {
  begin(out, "classes");
  for (const RequestClass& one : classes) {
    out << YAML::Key << one.name << YAML::Value << YAML::BeginMap;
    emit_match(out, one);
    emit_rows(out, class_rows(), one);
    out << YAML::EndMap;
  }
  out << YAML::EndMap;
}

}  // namespace

std::string effective_yaml(const Settings& settings) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  emit_rows(out, settings_rows(), settings);
  emit_keys(out, settings.keys);
  emit_targets(out, settings);
  emit_aliases(out, settings.policy.aliases);
  emit_classes(out, settings.policy.classes);
  out << YAML::EndMap;
  const std::string head = "# In force";
  const std::string source = settings.source.empty() ? "" : ", read from " + settings.source;
  const std::string version = settings.sha256.empty() ? "" : ", sha256 " + settings.sha256;
  return head + source + version + "\n" + out.c_str() + "\n";
}

}  // namespace spillway::config
