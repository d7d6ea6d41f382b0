#include "backends/cloud/dialects/dialect.h"

#include <nlohmann/json.hpp>

namespace spillway::cloud {

namespace {

using Json = nlohmann::json;

std::string word_of(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? found->dump() : std::string();
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
    return Complaint{error->get<std::string>(), "", "", ""};
  }
  if (error != answer.end() && !error->is_null()) {
    return Complaint{word_of(*error, "message"), word_of(*error, "type"), word_of(*error, "code"),
                     word_of(*error, "param")};
  }
  // FastAPI's and other frameworks' shapes.
  for (const char* name : {"message", "detail"}) {
    if (std::string text = word_of(answer, name); !text.empty()) return Complaint{text, "", "", ""};
  }
  return std::nullopt;
}

}  // namespace spillway::cloud
