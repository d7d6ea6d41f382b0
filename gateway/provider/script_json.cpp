#include "gateway/provider/provider.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <initializer_list>

namespace spillway::provider {

namespace {

using Json = nlohmann::json;
using simulated::Fault;
using simulated::Script;

Error refuse(std::string message) {
  return Error{Errc::invalid_request, std::move(message), "", std::nullopt};
}

// False, with `unknown` set, if `object` has a member that is not in `known`.
bool only_has(const Json& object, std::initializer_list<const char*> known, std::string& unknown) {
  for (const auto& [name, value] : object.items()) {
    const auto same = [&name = name](const char* other) { return name == other; };
    if (std::any_of(known.begin(), known.end(), same)) continue;
    unknown = name;
    return false;
  }
  return true;
}

Result<Fault> parse_fault(const Json& object) {
  std::string unknown;
  if (!only_has(object,
                {"kind", "share", "after_seconds", "after_tokens", "status", "retry_after_seconds"},
                unknown)) {
    return refuse("a fault has no member '" + unknown + "'");
  }
  Fault fault;
  const std::string name = object.value("kind", "");
  const auto kind = simulated::fault_kind_of(name);
  if (!kind) return refuse("there is no fault of kind '" + name + "'");
  fault.kind = *kind;
  fault.share = object.value("share", fault.share);
  fault.after_seconds = object.value("after_seconds", fault.after_seconds);
  fault.after_tokens = object.value("after_tokens", fault.after_tokens);
  fault.status = object.value("status", fault.status);
  fault.retry_after_seconds = object.value("retry_after_seconds", fault.retry_after_seconds);
  const bool in_range = fault.share >= 0.0 && fault.share <= 1.0 && fault.after_seconds >= 0.0 &&
                        fault.after_seconds <= 3'600.0 && fault.after_tokens >= 0 &&
                        fault.status >= 300 && fault.status <= 599;
  return in_range ? Result<Fault>(fault)
                  : refuse("a value of fault '" + name + "' is out of range");
}

}  // namespace

Result<Script> parse_script(std::string_view json) try {
  const Json object = Json::parse(json, nullptr, false);
  if (!object.is_object()) return refuse("a script is a JSON object");
  std::string unknown;
  if (!only_has(object, {"slow", "response_mean_seconds", "dead", "faults"}, unknown)) {
    return refuse("a script has no member '" + unknown + "'");
  }
  Script script;
  script.slow = object.value("slow", script.slow);
  script.response_mean = object.value("response_mean_seconds", script.response_mean);
  script.dead = object.value("dead", script.dead);
  if (!(script.slow >= 0.0 && script.slow <= 1e6)) return refuse("slow is out of range");
  if (!(script.response_mean >= 0.0 && script.response_mean <= 1e6))
    return refuse("response_mean_seconds is out of range");
  for (const Json& one : object.value("faults", Json::array())) {
    if (!one.is_object()) return refuse("each fault is an object");
    const auto fault = parse_fault(one);
    if (!fault) return fault.error();
    script.faults.push_back(*fault);
  }
  return script;
} catch (const Json::exception&) {
  return refuse("a value of the script has the wrong type");
}

}  // namespace spillway::provider
