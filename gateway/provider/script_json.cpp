#include "gateway/provider/provider.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::provider {

namespace {

using Json = nlohmann::json;
using simulated::Fault;
using simulated::Script;
using Names = std::vector<std::string_view>;

Error refuse(std::string message) {
  return Error{Errc::invalid_request, std::move(message), "", std::nullopt};
}

std::string listed(const Names& names) {
  std::string all;
  for (const std::string_view name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

// Refuses a member that is not in `known`.
Result<void> check_members(const Json& object, const std::string& what, const Names& known) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return refuse(what + " has no member '" + name + "'; there are " + listed(known));
  }
  return {};
}

Names fault_kinds() {
  Names kinds;
  for (int i = 0; i <= static_cast<int>(simulated::FaultKind::garbage); ++i)
    kinds.push_back(simulated::name_of(static_cast<simulated::FaultKind>(i)));
  return kinds;
}

Result<Fault> parse_fault(const Json& object) {
  const auto known = check_members(
      object, "a fault",
      {"kind", "share", "after_seconds", "after_tokens", "status", "retry_after_seconds"});
  if (!known) return known.error();
  Fault fault;
  const std::string name = object.value("kind", "");
  const auto kind = simulated::fault_kind_of(name);
  if (!kind)
    return refuse("there is no fault of kind '" + name + "'; there are " + listed(fault_kinds()));
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

Result<simulated::BatchScript> parse_batches(const Json& object) {
  const auto known = check_members(
      object, "batches", {"seconds", "answered", "failing", "refusing", "ends_as", "unanswered"});
  if (!known) return known.error();
  simulated::BatchScript script;
  script.seconds = object.value("seconds", script.seconds);
  script.answered = object.value("answered", script.answered);
  script.failing = object.value("failing", script.failing);
  script.refusing = object.value("refusing", script.refusing);
  script.ends_as = object.value("ends_as", script.ends_as);
  script.unanswered = object.value("unanswered", script.unanswered);
  const bool in_range = script.seconds >= 0.0 && script.seconds <= 86'400.0 &&
                        script.answered >= 0.0 && script.answered <= 1.0 && script.failing >= 0.0 &&
                        script.failing <= 1.0 && script.refusing >= 0.0 && script.refusing <= 1.0;
  const Names ends = {"completed", "expired", "failed"};
  const bool can_end = std::find(ends.begin(), ends.end(), script.ends_as) != ends.end();
  if (!in_range || !can_end) return refuse("a value of batches is out of range");
  return script;
}

}  // namespace

Result<Script> parse_script(std::string_view json) try {
  const Json object = Json::parse(json, nullptr, false);
  if (!object.is_object()) return refuse("a script is a JSON object");
  const auto known = check_members(object, "a script",
                                   {"slow", "response_mean_seconds", "dead", "faults", "batches"});
  if (!known) return known.error();
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
  if (object.contains("batches")) {
    const auto batches = parse_batches(object["batches"]);
    if (!batches) return batches.error();
    script.batches = *batches;
  }
  return script;
} catch (const Json::exception&) {
  return refuse("a value of the script has the wrong type");
}

}  // namespace spillway::provider
