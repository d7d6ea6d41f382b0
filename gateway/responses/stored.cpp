#include "gateway/responses/stored.h"

#include "gateway/responses/events.h"
#include "gateway/responses/items.h"
#include "gateway/responses/output.h"
#include "gateway/responses/response_object.h"
#include "gateway/responses/transcript.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

std::string texts_in(const ordered_json& parts, const char* name) {
  std::string all;
  for (const ordered_json& part : parts) all += part.value(name, "");
  return all;
}

ordered_json lists_in(const ordered_json& parts, const char* name) {
  ordered_json all = ordered_json::array();
  for (const ordered_json& part : parts) {
    for (const ordered_json& one : part.value(name, ordered_json::array())) all.push_back(one);
  }
  return all;
}

// As chat says them.
ordered_json notes_in(const ordered_json& parts) {
  ordered_json notes = ordered_json::array();
  for (const ordered_json& note : lists_in(parts, "annotations")) {
    const std::string type = text_in(note, "type");
    notes.push_back({{"type", type}, {type, note}});
  }
  return notes;
}

// A piece that makes the item anew.
Delta piece_of(const ordered_json& item, int index) {
  Delta delta;
  const std::string type = item.value("type", "");
  if (type == "reasoning") {
    const bool summarised = item.contains("summary") && !item["summary"].empty();
    delta.reasoning = texts_in(item[summarised ? "summary" : "content"], "text");
  } else if (type == "message") {
    const ordered_json& parts = item["content"];
    delta.text = texts_in(parts, "text");
    const std::string refusal = texts_in(parts, "refusal");
    if (!refusal.empty()) delta.extra = text_of(ordered_json{{"refusal", refusal}});
    if (refusal.empty()) delta.extra = text_of({{"annotations", notes_in(parts)}});
    delta.logprobs = text_of({{"content", lists_in(parts, "logprobs")}});
  } else {
    const bool custom = type == "custom_tool_call";
    const char* kind = custom ? "custom" : "function";
    const char* argument = custom ? "input" : "arguments";
    ordered_json call = {{"index", index}, {"id", item["call_id"]}, {"type", kind}};
    call[kind] = {{"name", item["name"]}, {argument, item[argument]}};
    if (item.contains(kBesideCall)) call[kBesideCall] = item[kBesideCall];
    delta.extra = text_of(ordered_json{{"tool_calls", ordered_json::array({call})}});
  }
  return delta;
}

bool is_summarised(const ordered_json& object) {
  const auto reasoning = object.find("reasoning");
  return reasoning != object.end() && reasoning->is_object() && reasoning->contains("summary") &&
         !(*reasoning)["summary"].is_null();
}

bool is_portable(const ordered_json& object) {
  const ordered_json& items = object["output"];
  return std::any_of(items.begin(), items.end(),
                     [](const ordered_json& item) { return item.contains("encrypted_content"); });
}

// The events but the last of a stream that might have told `body`.
std::vector<std::string> events_of(const std::string& body) {
  const ordered_json object = ordered_json::parse(body);
  Events events(true);
  Output output(events, turn_of(object.value("id", "")),
                {is_summarised(object), is_portable(object)});
  ordered_json begun = object;
  begun["status"] = "in_progress";
  begun["output"] = ordered_json::array();
  for (const char* name : {"completed_at", "error", "incomplete_details", "usage"})
    begun[name] = nullptr;
  for (const char* type : {"response.created", "response.in_progress"})
    events.add(type, R"("response":)" + text_of(begun));
  int index = 0;
  for (const ordered_json& item : object["output"]) output.add(piece_of(item, index++));
  output.end(object.value("status", "") == "completed");
  return split_events(events.take());
}

// What broke off may have told more than its object does.
bool is_broken_off(const std::string& body) {
  const std::string status = ordered_json::parse(body).value("status", "");
  return status == "failed" || status == "cancelled";
}

}  // namespace

std::optional<std::string> events_from(std::size_t from, const std::string& body,
                                       std::string_view transcript) {
  const auto events = transcript.empty() ? events_of(body) : events_in(transcript);
  std::string text;
  for (std::size_t i = from; i < events.size(); ++i) text += events[i];
  if (from <= events.size()) return text + last_event(body, events.size());
  const bool is_more_known = !transcript.empty() || !is_broken_off(body);
  if (!is_more_known) return last_event(body, from);
  return from == events.size() + 1 ? std::optional(text) : std::nullopt;
}

std::string last_event(const std::string& body, std::size_t number) {
  Events events(true, static_cast<std::int64_t>(number));
  std::string status = ordered_json::parse(body).value("status", "");
  if (status == "cancelled") status = "incomplete";  // No event of its own is known to clients.
  events.add("response." + status, R"("response":)" + body);
  return events.take();
}

std::string output_of(const std::string& body) {
  return text_of(ordered_json::parse(body)["output"]);
}

std::string with_status(const std::string& body, std::string_view status) {
  ordered_json object = ordered_json::parse(body);
  object["status"] = status;
  return text_of(object);
}

std::string with_failure(const std::string& body, std::string_view code, std::string_view message) {
  ordered_json object = ordered_json::parse(body);
  fail(object, code, message);
  return text_of(object);
}

bool is_background(const std::string& body) {
  return ordered_json::parse(body).value("background", false);
}

bool asks_for_background(const std::string& body) {
  if (body.find("\"background\"") == body.npos) return false;
  const auto said = wire::parse_object(body);
  if (!said) return false;
  const auto found = said->find("background");
  return found != said->end() && *found == true;
}

std::string ended_object_in(const std::string& event) {
  const ordered_json data = ordered_json::parse(data_of(event), nullptr, false);
  if (!data.is_object() || !data.contains("response")) return {};
  const std::string status = text_in(data["response"], "status");
  return status == "queued" || status == "in_progress" ? "" : text_of(data["response"]);
}

std::string message_in(const std::string& error_body) {
  const ordered_json answer = ordered_json::parse(error_body, nullptr, false);
  const bool told = answer.is_object() && answer.contains("error");
  return told ? answer["error"].value("message", "") : "the answer failed";
}

std::string deleted_text(std::string_view id) {
  return text_of(ordered_json{{"id", id}, {"object", "response"}, {"deleted", true}});
}

}  // namespace spillway::responses
