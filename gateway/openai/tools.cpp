#include "gateway/openai/tools.h"

#include "gateway/openai/hosted.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

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

void read_named_object(Fields& fields, std::string_view name, std::optional<Error>& error) {
  Json* object = fields.object(name);
  if (object == nullptr) return fields.fail_missing(name, "an object");
  Fields named(*object, fields.path_of(name) + ".", error);
  read_name(named);
}

void read_tool(const Json& tool, Fields fields, ChatRequest& chat, std::optional<Error>& error) {
  const std::string type = fields.required_string("type");
  if (error) return;
  if (type != "function" && type != "custom") return read_hosted(tool, type, chat);
  read_named_object(fields, type, error);
}

// A word, a tool by its name, or a choice among some of them.
void read_tool_choice(Fields& request, bool has_tools, std::optional<Error>& error) {
  Json* choice = request.any("tool_choice");
  if (choice == nullptr) return;
  if (!choice->is_object()) {
    const auto word = request.one_of("tool_choice", {"none", "auto", "required"});
    if (word == "required" && !has_tools) request.fail("tool_choice", "is allowed only with tools");
    return;
  }
  if (!has_tools) request.fail("tool_choice", "is allowed only with tools");
  Fields fields(*choice, request.path_of("tool_choice."), error);
  const std::string type = fields.required_string("type");
  if (type == "function" || type == "custom") read_named_object(fields, type, error);
}

}  // namespace

Need read_response_format(Fields& request, std::optional<Error>& error) {
  Json* format = request.object("response_format");
  if (format == nullptr) return Need::nothing;
  Fields fields(*format, request.path_of("response_format."), error);
  if (fields.any("type") == nullptr) fields.fail_missing("type", "a string");
  const auto type = fields.one_of("type", {"text", "json_object", "json_schema"});
  if (type == "json_schema") read_named_object(fields, "json_schema", error);
  return type == "text" ? Need::nothing : Need::formats;
}

void read_tools(Fields& request, ChatRequest& chat, std::optional<Error>& error) {
  chat.needs |= read_response_format(request, error);
  Json* tools = request.array("tools", kToolsMax);
  for (std::size_t i = 0; tools != nullptr && i < tools->size() && !error; ++i) {
    Json* tool = request.element(*tools, "tools", i);
    const std::string path = Fields::element_name("tools", i) + ".";
    if (tool != nullptr) read_tool(*tool, Fields(*tool, path, error), chat, error);
  }
  const Json* functions = request.array("functions", kToolsMax);
  const bool has_tools = tools != nullptr && !tools->empty();
  read_tool_choice(request, has_tools, error);
  request.boolean("parallel_tool_calls");
  chat.has_tools = has_tools || (functions != nullptr && !functions->empty());
  if (chat.has_tools) chat.needs |= Need::tools;
}

}  // namespace spillway::openai
