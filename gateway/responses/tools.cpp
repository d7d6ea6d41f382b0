#include "gateway/responses/tools.h"

#include "gateway/responses/response_object.h"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr std::size_t kToolsMax = 128;

// `{"type":"function","name":…}` as `{"type":"function","function":{"name":…}}`.
ordered_json nested(const ordered_json& flat, const std::string& type) {
  ordered_json inner = flat;
  inner.erase("type");
  for (const char* name : {"description", "strict", "parameters"}) {
    if (inner.contains(name) && inner[name].is_null()) inner.erase(name);
  }
  return {{"type", type}, {type, std::move(inner)}};
}

void read_tool(Fields tool, const ordered_json& said, ordered_json& tools, ordered_json& told) {
  const std::string type = tool.required_string("type");
  if (type != "function" && type != "custom")
    return tool.fail("type", "'" + type + "' runs at OpenAI: use function or custom tools");
  tool.required_string("name");
  tools.push_back(nested(said, type));
  ordered_json own = said;
  if (!own.contains("description")) own["description"] = nullptr;
  if (type == "function" && !own.contains("parameters")) own["parameters"] = nullptr;
  if (type == "function" && !own.contains("strict")) own["strict"] = nullptr;
  told.push_back(std::move(own));
}

ordered_json chosen(Fields& request, const ordered_json& said, std::optional<Error>& error) {
  Json* choice = request.any("tool_choice");
  if (choice->is_string()) {
    request.one_of("tool_choice", {"none", "auto", "required"});
    return said["tool_choice"];
  }
  if (!choice->is_object())
    return request.fail("tool_choice", "must be a string or an object"), nullptr;
  Fields fields(*choice, "tool_choice.", error);
  if (fields.any("type") == nullptr) fields.fail("type", "is required");
  const auto type = fields.one_of("type", {"function", "custom", "allowed_tools"});
  if (type == "allowed_tools") {
    ordered_json allowed = {{"mode", fields.one_of("mode", {"auto", "required"}).value_or("auto")}};
    fields.required_array("tools", kToolsMax);
    if (error) return nullptr;
    allowed["tools"] = ordered_json::array();
    for (const ordered_json& tool : said["tool_choice"]["tools"]) {
      if (!tool.is_object()) return fields.fail("tools", "must be objects"), nullptr;
      const std::string kind = text_in(tool, "type");
      allowed["tools"].push_back(nested(tool, kind.empty() ? "function" : kind));
    }
    return {{"type", "allowed_tools"}, {"allowed_tools", std::move(allowed)}};
  }
  fields.required_string("name");
  return error ? ordered_json() : nested(said["tool_choice"], *type);
}

}  // namespace

void read_tools(Fields& request, const ordered_json& said, std::optional<Error>& error,
                ordered_json& chat, ordered_json& settings) {
  Json* array = request.array("tools", kToolsMax);
  ordered_json tools = ordered_json::array(), told = ordered_json::array();
  for (std::size_t i = 0; array != nullptr && i < array->size() && !error; ++i) {
    Json* tool = request.element(*array, "tools", i);
    if (tool == nullptr) break;
    Fields fields(*tool, Fields::element_name("tools", i) + ".", error);
    read_tool(std::move(fields), said["tools"][i], tools, told);
  }
  settings["tools"] = std::move(told);
  settings["tool_choice"] = "auto";
  settings["parallel_tool_calls"] = request.boolean("parallel_tool_calls").value_or(true);
  if (request.any("tool_choice") != nullptr) {
    settings["tool_choice"] = said["tool_choice"];
    ordered_json choice = chosen(request, said, error);
    if (!tools.empty()) chat["tool_choice"] = std::move(choice);
  }
  if (tools.empty()) return;
  chat["tools"] = std::move(tools);
  if (!settings["parallel_tool_calls"]) chat["parallel_tool_calls"] = false;
}

}  // namespace spillway::responses
