#include "gateway/admin/key_names.h"

#include "config/schema.h"
#include "config/value.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

namespace spillway::admin {
namespace {

template <class Named>
bool is_among(const std::vector<Named>& all, const std::string& name) {
  return std::any_of(all.begin(), all.end(),
                     [&name](const Named& one) { return one.name == name; });
}

bool is_model(const config::Settings& settings, const std::string& name) {
  const auto serves_it = [&name](const auto& target) { return is_among(target.serves, name); };
  return std::any_of(settings.local.begin(), settings.local.end(), serves_it) ||
         std::any_of(settings.providers.begin(), settings.providers.end(), serves_it) ||
         is_among(settings.policy.aliases, name);
}

bool is_place(const config::Settings& settings, const std::string& name) {
  return std::any_of(settings.providers.begin(), settings.providers.end(),
                     [&name](const auto& provider) { return provider.residency == name; });
}

Error wrong(const std::string& member, std::string why) {
  return {Errc::invalid_request, member + ": " + std::move(why), member, std::nullopt};
}

Error nobody(const std::string& member, const std::string& what, const std::string& name) {
  return wrong(member, "there is no " + what + " '" + name + "' in the configuration");
}

}  // namespace

std::optional<Error> unknown_name(const config::Key& key, const config::Settings& settings) {
  const auto& classes = settings.policy.classes;
  if (is_among(settings.keys, key.name))
    return wrong("name", "'" + key.name + "' is a key of the configuration");
  if (!key.default_class.empty() && !is_among(classes, key.default_class))
    return nobody("class", "class", key.default_class);
  for (const std::string& name : key.classes) {
    if (!is_among(classes, name)) return nobody("classes", "class", name);
  }
  for (const std::string& name : key.models) {
    if (!is_model(settings, name)) return nobody("models", "model", name);
  }
  for (const std::string& name : key.residency) {
    if (!is_place(settings, name))
      return wrong("residency",
                   "no target of the configuration says that data stays in '" + name + "'");
  }
  for (const std::string& name : key.scopes) {
    const auto read = config::parse_value(config::Kind::word, name, config::key_scopes());
    if (const auto* mistake = std::get_if<config::Mistake>(&read))
      return wrong("scopes", mistake->message);
  }
  return std::nullopt;
}

}  // namespace spillway::admin
