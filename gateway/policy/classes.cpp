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
  const bool bounded = request.key && !request.key->classes.empty();
  if (bounded && !lists(request.key->classes, request.class_header)) {
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
    if (const RequestClass* own = find(settings, request.key->default_class)) return own;
  }
  for (const RequestClass& request_class : settings.policy.classes) {
    for (const ClassMatch& match : request_class.match) {
      if (matches(match, request)) return &request_class;
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
