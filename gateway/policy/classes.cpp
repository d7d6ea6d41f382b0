#include "gateway/policy/classes.h"

#include <algorithm>
#include <string>

namespace spillway::policy {
namespace {

using config::ClassMatch;
using config::RequestClass;

bool lists(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// An empty list does not ask for anything.
bool fits(const std::vector<std::string>& wanted, std::string_view value) {
  return wanted.empty() || lists(wanted, value);
}

// "fast" is another name of "priority".
bool fits_tier(const std::vector<std::string>& wanted, std::string_view tier) {
  if (fits(wanted, tier)) return true;
  return (tier == "fast" && lists(wanted, "priority")) ||
         (tier == "priority" && lists(wanted, "fast"));
}

bool matches(const ClassMatch& match, const RequestFacts& request) {
  const bool asks_nothing = match.keys.empty() && match.service_tiers.empty() &&
                            match.models.empty() && match.endpoints.empty();
  if (asks_nothing) return false;
  const std::string_view key_name = request.key ? std::string_view(request.key->name) : "";
  return fits(match.keys, key_name) && fits_tier(match.service_tiers, request.service_tier) &&
         fits(match.models, request.model) && fits(match.endpoints, request.endpoint);
}

const RequestClass* find(const config::Settings& settings, std::string_view name) {
  for (const RequestClass& request_class : settings.policy.classes) {
    if (request_class.name == name) return &request_class;
  }
  return nullptr;
}

// Whether the client may choose it: what its key names, and the key's own.
bool may_choose(const RequestFacts& request, const RequestClass& request_class) {
  const config::Key* const key = request.key;
  return !key || fits(key->classes, request_class.name) || key->default_class == request_class.name;
}

// The class that serves the tier asked for; null: none was, or none that this key may choose.
const RequestClass* of_tier(const config::Settings& settings, const RequestFacts& request) {
  const std::string_view tier = request.service_tier;
  if (tier.empty() || tier == "auto" || tier == "default") return nullptr;
  for (const RequestClass& each : settings.policy.classes) {
    for (const ClassMatch& match : each.match) {
      if (!match.service_tiers.empty() && matches(match, request) && may_choose(request, each))
        return &each;
    }
  }
  return nullptr;
}

Result<const RequestClass*> named_by_header(const config::Settings& settings,
                                            const RequestFacts& request) {
  const RequestClass* request_class = find(settings, request.class_header);
  if (!request_class) {
    std::string known;
    for (const RequestClass& each : settings.policy.classes) {
      known += (known.empty() ? "" : ", ") + each.name;
    }
    return Error{.code = Errc::invalid_request,
                 .message = "x-spillway-class names no class. There are: " + known + ".",
                 .param = "x-spillway-class"};
  }
  if (!may_choose(request, *request_class)) {
    return Error{.code = Errc::forbidden,
                 .message = "This key may not choose the class " + request_class->name + ".",
                 .param = "x-spillway-class"};
  }
  return request_class;
}

const RequestClass& built_in_class() {
  static const RequestClass kClass{.name = "default"};
  return kClass;
}

}  // namespace

Result<const RequestClass*> class_of(const config::Settings& settings,
                                     const RequestFacts& request) {
  if (!request.class_header.empty()) return named_by_header(settings, request);
  if (request.key && !request.key->default_class.empty()) {
    if (const RequestClass* asked = of_tier(settings, request)) return asked;
    if (const RequestClass* own = find(settings, request.key->default_class)) return own;
  }
  for (const RequestClass& request_class : settings.policy.classes) {
    for (const ClassMatch& match : request_class.match) {
      const bool by_tier = !match.service_tiers.empty();
      if (matches(match, request) && (!by_tier || may_choose(request, request_class)))
        return &request_class;
    }
  }
  const RequestClass* fallback = find(settings, settings.policy.default_class);
  return fallback ? fallback : &built_in_class();
}

std::string_view tier_served(const RequestClass& request_class, std::string_view asked) {
  if (asked.empty()) return {};
  const auto grants = [asked](const ClassMatch& match) {
    return !match.service_tiers.empty() && fits_tier(match.service_tiers, asked);
  };
  const auto& match = request_class.match;
  if (asked == "auto" || std::none_of(match.begin(), match.end(), grants)) return "default";
  return asked == "fast" ? "priority" : asked;
}

}  // namespace spillway::policy
