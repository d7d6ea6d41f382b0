#include "gateway/openai/callable.h"

#include "gateway/wire/json_member.h"
#include "gateway/wire/member_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;
using wire::member_in;
using wire::text_in;
using Ordered = nlohmann::ordered_json;  // Schemas keep the order of their properties.

// {"type": "function", "function": {…}}; null for other kinds.
template <class AnyJson>
const AnyJson* function_in(const AnyJson& tool) {
  return text_in(tool, "type") == "function" ? member_in(tool, "function") : nullptr;
}

std::optional<Function> function_of(const Ordered& tool, std::size_t at) {
  const Ordered* given = function_in(tool);
  if (given == nullptr) return std::nullopt;
  Function function;
  function.name = text_in(*given, "name");
  const Ordered* parameters = member_in(*given, "parameters");
  if (parameters != nullptr && !parameters->is_null())
    function.parameters = parameters->dump(-1, ' ', false, Ordered::error_handler_t::replace);
  const Ordered* strict = member_in(*given, "strict");
  function.strict = strict != nullptr && *strict == true;
  function.field = Fields::element_name("tools", at) + ".function.parameters";
  return function;
}

// Leaves those that have one of these names; false if one of the names is nobody's.
bool keep_only(const std::vector<std::string>& names, std::vector<Function>& functions) {
  std::vector<Function> kept;
  for (Function& function : functions) {
    if (std::find(names.begin(), names.end(), function.name) != names.end())
      kept.push_back(std::move(function));
  }
  functions = std::move(kept);
  return !names.empty() && functions.size() >= names.size();
}

// Takes over what a choice says that is not a word. False: it is of a kind that only providers
// know.
bool heed(const Json& choice, Tools& tools, Fields& request) {
  std::vector<std::string> names;
  if (const Json* named = function_in(choice)) {
    tools.must_call = true;
    names.push_back(text_in(*named, "name"));
  } else {
    const Json* allowed = member_in(choice, "allowed_tools");
    const Json* some = allowed == nullptr ? nullptr : member_in(*allowed, "tools");
    if (some == nullptr || !some->is_array()) return false;
    tools.must_call = text_in(*allowed, "mode") == "required";
    for (const Json& one : *some) {
      const Json* function = function_in(one);
      if (function == nullptr) return false;
      names.push_back(text_in(*function, "name"));
    }
  }
  if (!keep_only(names, tools.functions))
    request.fail("tool_choice", "names a function that is not among the tools");
  // The model knows the others, too: only a form keeps it from them.
  for (Function& function : tools.functions) function.strict = true;
  return true;
}

ToolCall call_of(std::string id, const Json& function) {
  return {std::move(id), text_in(function, "name"), text_in(function, "arguments")};
}

}  // namespace

void read_callable(Fields& request, std::string_view body, ChatRequest& chat) {
  const Json* given = request.any("tools");
  if (given == nullptr || !given->is_array() || given->empty()) return;
  const Json* older = request.any("functions");
  if (older != nullptr && older->is_array() && !older->empty()) return;  // Both: who knows both.
  const std::array<std::string_view, 1> path = {"tools"};
  auto tools = std::make_shared<Tools>();
  tools->text = wire::member_text(body, path).value_or(given->dump());
  const Ordered list = Ordered::parse(tools->text, nullptr, false);
  if (!list.is_array() || list.size() != given->size()) return;  // Others than were checked.
  for (std::size_t at = 0; at < list.size(); ++at) {
    auto function = function_of(list[at], at);
    if (!function) return;
    tools->functions.push_back(std::move(*function));
  }
  const Json* choice = request.any("tool_choice");
  if (choice != nullptr && *choice == "none") tools->functions.clear();
  if (choice != nullptr && *choice == "required") tools->must_call = true;
  if (choice != nullptr && choice->is_object() && !heed(*choice, *tools, request)) return;
  const Json* parallel = request.any("parallel_tool_calls");
  tools->one_call = parallel != nullptr && *parallel == false;
  chat.tools = std::move(tools);
}

void read_calls(const Json& message, Message& into) {
  into.call_id = text_in(message, "tool_call_id");
  into.reasoning = text_in(message, "reasoning_content");
  into.content += text_in(message, "refusal");
  const Json* older = member_in(message, "function_call");
  if (older != nullptr && older->is_object()) into.calls.push_back(call_of("", *older));
  const Json* calls = member_in(message, "tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (const Json& call : *calls) {
    if (const Json* function = member_in(call, "function"))
      into.calls.push_back(call_of(text_in(call, "id"), *function));
    if (const Json* custom = member_in(call, "custom"))
      into.calls.push_back({text_in(call, "id"), text_in(*custom, "name"),
                            Json({{"input", text_in(*custom, "input")}}).dump()});
  }
}

}  // namespace spillway::openai
