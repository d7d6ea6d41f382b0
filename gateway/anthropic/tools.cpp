#include "gateway/anthropic/tools.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace spillway::anthropic {
namespace {

using nlohmann::ordered_json;
using wire::Fields;
using wire::Json;

constexpr std::size_t kToolsMax = 10'000;
constexpr std::size_t kChatToolsMax = 128;
constexpr int kSearchesMax = 100'000;
constexpr int kAddedTokensMax = 1'000'000'000;

// What Anthropic writes into the prompt for a tool of its own, at most. Told are 245 tokens for
// bash, 700 for the text editor, 735 and up to 499 more for the computer, about 4,500 and 6,600 for
// the toolsets of computer and browser.
constexpr int kTokensOfTool = 2'000, kTokensOfToolset = 8'000;
constexpr std::size_t kToolNameMax = 128, kChatNameMax = 64;

// Sorted. The others change what a call may be, and chat completions do not know them.
constexpr std::array<std::string_view, 7> kUnderstood = {
    "cache_control", "description", "eager_input_streaming", "input_schema", "name",
    "strict",        "type"};

bool is_own(const ordered_json& tool) {
  const auto type = tool.find("type");
  return type == tool.end() || type->is_null() || *type == "custom";
}

bool is_tool_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kToolNameMax &&
         std::all_of(name.begin(), name.end(), allowed);
}

void add_tokens(std::int64_t tokens, Beyond& beyond) {
  const std::int64_t all = beyond.added_tokens + tokens;
  beyond.added_tokens = static_cast<int>(std::min<std::int64_t>(all, kAddedTokensMax));
}

// Each page may be so long, and is read again with each that follows.
void read_fetch(Fields& tool, Beyond& beyond) {
  const auto uses = tool.integer("max_uses", 1, kSearchesMax);
  const auto tokens = tool.integer("max_content_tokens", 1, kAddedTokensMax);
  if (!uses || !tokens)
    return beyond.reads_unsent("pages of the web (max_uses and max_content_tokens of web_fetch)");
  add_tokens(std::int64_t{*uses} * (*uses + 1) / 2 * *tokens, beyond);
}

// One of Anthropic's: "web_search_20250305", which runs there; "bash_20250124", which does not.
void read_hosted(Fields tool, Beyond& beyond) {
  const std::string type = tool.required_string("type");
  beyond.add("the tool '" + type + "'");
  add_tokens(type.find("_toolset") == type.npos ? kTokensOfTool : kTokensOfToolset, beyond);
  if (type.starts_with("web_fetch")) read_fetch(tool, beyond);
  if (type.starts_with("advisor")) {
    beyond.reads_unsent("what an advisor is told and answers");
    beyond.other_models.push_back(tool.required_string("model"));
  }
  if (type.starts_with("code_execution")) beyond.reads_unsent("what code prints in a container");
  if (!type.starts_with("web_search")) return;
  const auto most = tool.integer("max_uses", 1, kSearchesMax);
  if (!most) beyond.searches.reset();
  if (beyond.searches) *beyond.searches = std::min(kSearchesMax, *beyond.searches + *most);
}

void read_tool(Fields tool, const ordered_json& said, ordered_json& tools, Beyond& beyond) {
  if (!is_own(said)) return read_hosted(std::move(tool), beyond);
  ordered_json function;
  const std::string name = tool.required_string("name");
  if (!is_tool_name(name)) tool.fail("name", "must be 1 to 128 letters, digits, '_' or '-'");
  function["name"] = name;
  if (auto description = tool.string("description")) function["description"] = *description;
  if (tool.object("input_schema") == nullptr) return tool.fail("input_schema", "is required");
  function["parameters"] = said["input_schema"];
  if (const auto strict = tool.boolean("strict")) function["strict"] = *strict;
  for (const auto& [key, value] : said.items()) {
    if (!value.is_null() && !std::binary_search(kUnderstood.begin(), kUnderstood.end(), key))
      beyond.add("a tool's '" + key + "'");
  }
  if (name.size() > kChatNameMax) return beyond.add("a tool's name of more than 64 characters");
  if (tools.size() == kChatToolsMax) return beyond.add("more than 128 tools");
  tools.push_back({{"type", "function"}, {"function", std::move(function)}});
}

// Without tools there is nothing to choose; who names one all the same is told by the chat's
// reader.
void read_choice(Fields& request, bool has_tools, std::optional<Error>& error, ordered_json& chat) {
  Json* choice = request.object("tool_choice");
  if (choice == nullptr) return;
  Fields fields(*choice, "tool_choice.", error);
  if (fields.any("type") == nullptr) fields.fail("type", "is required");
  const std::string type = fields.one_of("type", {"auto", "any", "tool", "none"}).value_or("");
  if (fields.boolean("disable_parallel_tool_use").value_or(false) && has_tools)
    chat["parallel_tool_calls"] = false;
  if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"},
                           {"function", {{"name", fields.required_string("name")}}}};
  } else if (has_tools || type == "any") {
    chat["tool_choice"] = type == "any" ? "required" : type;
  }
}

}  // namespace

void read_tools(Fields& request, const ordered_json& said, std::optional<Error>& error,
                ordered_json& chat, Beyond& beyond) {
  Json* array = request.array("tools", kToolsMax);
  ordered_json tools = ordered_json::array();
  for (std::size_t i = 0; array != nullptr && i < array->size() && !error; ++i) {
    Json* tool = request.element(*array, "tools", i);
    if (tool == nullptr) return;
    Fields fields(*tool, Fields::element_name("tools", i) + ".", error);
    read_tool(std::move(fields), said["tools"][i], tools, beyond);
  }
  const bool has_tools = array != nullptr && !array->empty();
  beyond.tools |= has_tools;
  if (!tools.empty()) chat["tools"] = std::move(tools);
  read_choice(request, has_tools, error, chat);
}

}  // namespace spillway::anthropic
