#include "gateway/wire/asked_besides.h"

#include "gateway/wire/json_member.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace spillway::wire {
namespace {

// OpenRouter's, Anthropic's and LiteLLM's.
constexpr std::array<std::string_view, 5> kOtherModels = {
    "models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks",
    "context_window_fallback_dict"};

// OpenRouter's, xAI's, Qwen's and Baidu's.
constexpr std::array<std::string_view, 5> kFinders = {
    "plugins", "search_parameters", "enable_search", "search_options", "web_search"};

// OpenRouter's: what it keeps by a name, and whom it asks for the same model at another price.
constexpr std::array<std::string_view, 2> kChoosers = {"preset", "provider"};

constexpr std::string_view kPictures = "mm_processor_kwargs";  // vLLM's and SGLang's.

// Plugins that put the answer's JSON right, or leave some of the prompt out: for nothing.
constexpr std::array<std::string_view, 2> kFree = {"response-healing", "context-compression"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool names_models(std::string_view member) {
  return member == "model" || member.ends_with("_model") || member.ends_with("_models") ||
         is_one_of(kOtherModels, member);
}

// Null: nothing, or nothing in it.
const Json* given(const Json& object, std::string_view name) {
  const Json* found = member_in(object, name);
  return found == nullptr || found->is_null() || found->empty() ? nullptr : found;
}

bool says_no(const Json& finder, std::string_view name) {
  const Json* switched = member_in(finder, name);
  return switched != nullptr && *switched == false;
}

// It finds nothing, and asks nothing for it.
bool is_idle(const Json& finder) {
  if (finder.is_array()) return std::all_of(finder.begin(), finder.end(), is_idle);
  if (!finder.is_object()) return finder == false;
  return is_one_of(kFree, text_in(finder, "id")) || text_in(finder, "mode") == "off" ||
         says_no(finder, "enabled") || says_no(finder, "enable");
}

class Reading {
 public:
  Reading(const Json& request, const std::string& own) : request_(request), own_(own) {}

  AskedBesides whole() {
    const auto google = request_.find("extra_body");  // Gemini's.
    if (google != request_.end() && google->dump().find("cached_content") != std::string::npos)
      note("what the provider has cached by a name");
    for (const std::string_view name : kOtherModels) {
      if (const Json* others = given(request_, name)) read_others(*others, name, true);
    }
    for (const std::string_view name : kChoosers) {
      if (given(request_, name) != nullptr) note("what '" + std::string(name) + "' chooses");
    }
    const bool never_searches = says_no(request_, "enable_search");  // Qwen's options are of that.
    for (const std::string_view name : kFinders) {
      const Json* finder = given(request_, name);
      if (finder == nullptr || is_idle(*finder)) continue;
      if (name == "search_options" && never_searches) continue;
      read_finder(*finder, name);
    }
    if (const Json* compound = given(request_, "compound_custom")) read_compound(*compound);
    if (given(request_, kPictures) != nullptr)
      note("pictures as large as '" + std::string(kPictures) + "' lets them be");
    return std::move(read_);
  }

 private:
  void note(std::string what) {
    if (read_.unsent.empty()) read_.unsent = std::move(what);
  }

  // What it names beside is another model's work, at another price.
  void read_others(const Json& value, std::string_view field, bool are_names) {
    const std::size_t before = read_.models.size();
    collect_models(value, are_names, own_, read_.models);
    if (read_.models.size() > before) note("what the models of '" + std::string(field) + "' ask");
  }

  void read_finder(const Json& finder, std::string_view field) {
    read_others(finder, field, false);
    note("what '" + std::string(field) + "' finds");
    read_.searches = true;
  }

  // Groq's, of its systems of models and tools.
  void read_compound(const Json& compound) {
    constexpr std::string_view kField = "compound_custom";
    read_others(compound, kField, false);
    const Json* tools = given(compound, "tools");
    const Json* enabled = tools == nullptr ? nullptr : given(*tools, "enabled_tools");
    if (enabled != nullptr) read_finder(*enabled, kField);
  }

  const Json& request_;
  const std::string& own_;
  AskedBesides read_;
};

}  // namespace

void collect_models(const Json& value, bool are_names, const std::string& own,
                    std::vector<std::string>& models) {
  if (value.is_string() && are_names && value != own) models.push_back(value.get<std::string>());
  if (value.is_array()) {
    for (const Json& one : value) collect_models(one, are_names, own, models);
  }
  if (!value.is_object()) return;
  const bool stand_in = are_names && !value.contains("model");
  for (const auto& [name, inner] : value.items())
    collect_models(inner, stand_in || names_models(name), own, models);
}

AskedBesides asked_besides(const Json& request, const std::string& own) {
  return Reading(request, own).whole();
}

}  // namespace spillway::wire
