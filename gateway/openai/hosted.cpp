#include "gateway/openai/hosted.h"

#include "gateway/wire/asked_besides.h"
#include "gateway/wire/json_member.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace spillway::openai {
namespace {

using wire::Json;

constexpr std::array<std::string_view, 4> kSearches = {"web_search", "browser_search",
                                                       "google_search", "x_search"};

// Plugins that put the answer's JSON right, or leave some of the prompt out: for nothing.
constexpr std::array<std::string_view, 2> kFree = {"response-healing", "context-compression"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool names_models(std::string_view member) {
  return member == "model" || member.ends_with("_model") || member.ends_with("_models") ||
         is_one_of(wire::kOtherModels, member);
}

// `are_names`: strings in it are models, and so are those in an object by what they stand in for:
// LiteLLM's {"model": ["another"]}, Groq's {"answering_model": "another"}.
void collect(const Json& value, bool are_names, ChatRequest& chat) {
  if (value.is_string() && are_names && value != chat.model)
    chat.other_models.push_back(value.get<std::string>());
  if (value.is_array()) {
    for (const Json& one : value) collect(one, are_names, chat);
  }
  if (!value.is_object()) return;
  const bool stand_in = are_names && !value.contains("model");
  for (const auto& [name, inner] : value.items())
    collect(inner, stand_in || names_models(name), chat);
}

// Null: nothing, or nothing in it.
const Json* given(const Json& object, std::string_view name) {
  const Json* found = wire::member_in(object, name);
  return found == nullptr || found->is_null() || found->empty() ? nullptr : found;
}

void note_unsent(std::string what, ChatRequest& chat) {
  if (chat.unsent.empty()) chat.unsent = std::move(what);
}

bool is_search(std::string_view name) {
  return std::any_of(kSearches.begin(), kSearches.end(), [name](std::string_view one) {
    return name.find(one) != std::string_view::npos;
  });
}

bool says_no(const Json& finder, std::string_view name) {
  const Json* switched = wire::member_in(finder, name);
  return switched != nullptr && *switched == false;
}

// It finds nothing, and asks nothing for it.
bool is_idle(const Json& finder) {
  if (finder.is_array()) return std::all_of(finder.begin(), finder.end(), is_idle);
  if (!finder.is_object()) return finder == false;
  return is_one_of(kFree, wire::text_in(finder, "id")) || wire::text_in(finder, "mode") == "off" ||
         says_no(finder, "enabled") || says_no(finder, "enable");
}

// What it names beside is another model's work, at another price.
void read_others(const Json& value, std::string_view field, bool are_names, ChatRequest& chat) {
  const std::size_t before = chat.other_models.size();
  collect(value, are_names, chat);
  if (chat.other_models.size() > before)
    note_unsent("what the models of '" + std::string(field) + "' ask", chat);
}

void read_finder(const Json& finder, std::string_view field, ChatRequest& chat) {
  read_others(finder, field, false, chat);
  note_unsent("what '" + std::string(field) + "' finds", chat);
  chat.searches.reset();
}

// Groq's, of its systems of models and tools.
void read_compound(const Json& compound, ChatRequest& chat) {
  constexpr std::string_view kField = "compound_custom";
  read_others(compound, kField, false, chat);
  const Json* tools = given(compound, "tools");
  const Json* enabled = tools == nullptr ? nullptr : given(*tools, "enabled_tools");
  if (enabled != nullptr) read_finder(*enabled, kField, chat);
}

}  // namespace

void read_hosted(const Json& tool, const std::string& type, ChatRequest& chat) {
  note_unsent("what the tool '" + type + "' reads", chat);
  collect(tool, false, chat);
  const Json* function = wire::member_in(tool, "function");
  const std::string name = function == nullptr ? std::string() : wire::text_in(*function, "name");
  if (!is_search(type) && !is_search(name)) return;
  chat.needs |= Need::search;
  chat.beyond.push_back({"tools", Need::search});
  chat.searches.reset();
}

void read_besides(const Json& request, ChatRequest& chat) {
  const auto google = request.find("extra_body");  // Gemini's.
  if (google != request.end() && google->dump().find("cached_content") != std::string::npos)
    note_unsent("what the provider has cached by a name", chat);
  for (const std::string_view name : wire::kOtherModels) {
    if (const Json* others = given(request, name)) read_others(*others, name, true, chat);
  }
  const bool never_searches = says_no(request, "enable_search");  // Qwen's options are of that.
  for (const std::string_view name : wire::kFinders) {
    const Json* finder = given(request, name);
    if (finder == nullptr || is_idle(*finder)) continue;
    if (name == "search_options" && never_searches) continue;
    read_finder(*finder, name, chat);
  }
  if (const Json* compound = given(request, "compound_custom")) read_compound(*compound, chat);
}

}  // namespace spillway::openai
