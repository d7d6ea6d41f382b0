#include "gateway/openai/tools.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;

constexpr std::size_t kToolsMax = 128;
constexpr std::size_t kToolNameMax = 64;

bool is_tool_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kToolNameMax &&
         std::all_of(name.begin(), name.end(), allowed);
}

void read_name(Fields& fields) {
  const std::string name = fields.required_string("name");
  if (!is_tool_name(name)) fields.fail("name", "must be 1 to 64 letters, digits, '_' or '-'");
}

void read_tool(Fields fields, std::optional<Error>& error) {
  const std::string type = fields.required_string("type");
  if (type != "function" && type != "custom") return;  // Providers have kinds of their own.
  Json* described = fields.object(type);
  if (described == nullptr) {
    fields.fail(type, "is required and must be an object");
    return;
  }
  Fields description(*described, fields.path_of(type) + ".", error);
  read_name(description);
}

bool read_response_format(Fields& request, std::optional<Error>& error) {
  Json* format = request.object("response_format");
  if (format == nullptr) return false;
  Fields fields(*format, request.path_of("response_format."), error);
  if (fields.any("type") == nullptr) fields.fail("type", "is required");
  const auto type = fields.one_of("type", {"text", "json_object", "json_schema"});
  if (type != "json_schema") return type == "json_object";
  Json* schema = fields.object("json_schema");
  if (schema == nullptr) {
    fields.fail("json_schema", "is required and must be an object");
    return true;
  }
  Fields named(*schema, request.path_of("response_format.json_schema."), error);
  read_name(named);
  return true;
}

void read_tool_choice(Fields& request) {
  const Json* choice = request.any("tool_choice");
  if (choice == nullptr || choice->is_object()) return;
  request.one_of("tool_choice", {"none", "auto", "required"});
}

}  // namespace

bool read_tools(Fields& request, std::optional<Error>& error) {
  const bool formatted = read_response_format(request, error);
  Json* tools = request.array("tools", kToolsMax);
  for (std::size_t i = 0; tools != nullptr && i < tools->size() && !error; ++i) {
    Json* tool = request.element(*tools, "tools", i);
    const std::string path = Fields::element_name("tools", i) + ".";
    if (tool != nullptr) read_tool(Fields(*tool, path, error), error);
  }
  const Json* functions = request.array("functions", kToolsMax);
  read_tool_choice(request);
  request.boolean("parallel_tool_calls");
  const bool has_tools = tools != nullptr && !tools->empty();
  return formatted || has_tools || (functions != nullptr && !functions->empty());
}

}  // namespace spillway::openai
