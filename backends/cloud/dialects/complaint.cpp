#include "backends/cloud/dialects/dialect.h"

#include <nlohmann/json.hpp>

namespace spillway::cloud {

namespace {

using Json = nlohmann::json;

std::string word_of(const Json& object, std::string_view name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? found->dump() : std::string();
}

// A reason in words: a text, or what a list says first, or an object inside ("message": {"detail":
// [{"msg": …}]}).
std::string words_of(const Json& value, int depth = 0) {
  constexpr int kDepthMax = 4;
  if (value.is_string()) return value.get<std::string>();
  if (depth == kDepthMax) return {};
  if (value.is_array() && !value.empty()) return words_of(value.front(), depth + 1);
  if (!value.is_object()) return {};
  for (const char* name : {"msg", "message", "detail", "errors", "error"}) {
    if (value.contains(name)) return words_of(value[name], depth + 1);
  }
  return {};
}

// API_KEY_INVALID, which stands in one of Google's details; else FAILED_PRECONDITION.
std::string reason_of(const Json& error) {
  const auto details = error.is_object() ? error.find("details") : error.end();
  if (details != error.end() && details->is_array()) {
    for (const Json& detail : *details) {
      if (std::string reason = word_of(detail, "reason"); !reason.empty()) return reason;
    }
  }
  return word_of(error, "status");
}

Complaint complaint_of(const Json& error, std::string_view text) {
  const auto said = error.is_object() ? error.find(text) : error.end();
  return {.message = said == error.end() ? std::string() : words_of(*said),
          .type = word_of(error, "type"),
          .code = word_of(error, "code"),
          .param = word_of(error, "param"),
          .reason = reason_of(error)};
}

}  // namespace

std::optional<Complaint> parse_complaint(std::string_view body) {
  const Json parsed = Json::parse(body, nullptr, false);
  // Gemini's endpoint puts its error object into a list.
  const bool in_list = parsed.is_array() && !parsed.empty();
  const Json& answer = in_list ? parsed.front() : parsed;
  if (!answer.is_object()) return std::nullopt;
  const auto error = answer.find("error");
  if (error != answer.end() && error->is_string()) {
    return Complaint{.message = error->get<std::string>()};
  }
  if (error != answer.end() && !error->is_null()) return complaint_of(*error, "message");
  // vLLM's, SGLang's and FastAPI's shapes.
  for (const std::string_view name : {"message", "detail", "errors"}) {
    const auto said = answer.find(name);
    if (said != answer.end() && !words_of(*said).empty()) return complaint_of(answer, name);
  }
  return std::nullopt;
}

}  // namespace spillway::cloud
