#include "gateway/openai/hosted.h"

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

bool names_models(std::string_view member) {
  return member == "model" || member == "models" || member.ends_with("_model") ||
         member.ends_with("_models");
}

// `are_names`: strings in it are models.
void collect(const Json& value, bool are_names, ChatRequest& chat) {
  if (value.is_string() && are_names && value != chat.model)
    chat.other_models.push_back(value.get<std::string>());
  if (value.is_array()) {
    for (const Json& one : value) collect(one, are_names, chat);
  }
  if (!value.is_object()) return;
  for (const auto& [name, inner] : value.items()) collect(inner, names_models(name), chat);
}

// Null: nothing, or nothing in it.
const Json* given(const Json& request, const char* name) {
  const auto found = request.find(name);
  return found == request.end() || found->is_null() || found->empty() ? nullptr : &*found;
}

void note_unsent(std::string what, ChatRequest& chat) {
  if (chat.unsent.empty()) chat.unsent = std::move(what);
}

std::string name_in(const Json& tool) {
  const auto function = tool.find("function");
  if (function == tool.end() || !function->is_object()) return "";
  const auto name = function->find("name");
  return name != function->end() && name->is_string() ? name->get<std::string>() : "";
}

bool is_search(std::string_view name) {
  return std::any_of(kSearches.begin(), kSearches.end(), [name](std::string_view one) {
    return name.find(one) != std::string_view::npos;
  });
}

}  // namespace

void read_hosted(const Json& tool, const std::string& type, ChatRequest& chat) {
  note_unsent("what the tool '" + type + "' reads", chat);
  collect(tool, false, chat);
  if (!is_search(type) && !is_search(name_in(tool))) return;
  chat.needs |= Need::search;
  chat.beyond.push_back({"tools", Need::search});
  chat.searches.reset();
}

void read_besides(const Json& request, ChatRequest& chat) {
  const auto google = request.find("extra_body");  // Gemini's.
  if (google != request.end() && google->dump().find("cached_content") != std::string::npos)
    note_unsent("what the provider has cached by a name", chat);
  for (const char* name : {"models", "fallbacks"}) {
    if (const Json* others = given(request, name)) collect(*others, true, chat);
  }
  for (const char* name : {"plugins", "search_parameters"}) {
    const Json* finders = given(request, name);
    if (finders == nullptr) continue;
    collect(*finders, false, chat);
    note_unsent("what '" + std::string(name) + "' finds", chat);
  }
}

}  // namespace spillway::openai
