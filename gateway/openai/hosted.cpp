#include "gateway/openai/hosted.h"

#include "gateway/wire/asked_besides.h"
#include "gateway/wire/json_member.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

namespace spillway::openai {
namespace {

using wire::Json;

constexpr std::array<std::string_view, 4> kSearches = {"web_search", "browser_search",
                                                       "google_search", "x_search"};

void note_unsent(std::string what, ChatRequest& chat) {
  if (chat.unsent.empty()) chat.unsent = std::move(what);
}

bool is_search(std::string_view name) {
  return std::any_of(kSearches.begin(), kSearches.end(), [name](std::string_view one) {
    return name.find(one) != std::string_view::npos;
  });
}

}  // namespace

void read_hosted(const Json& tool, const std::string& type, ChatRequest& chat) {
  note_unsent("what the tool '" + type + "' reads", chat);
  wire::collect_models(tool, false, chat.model, chat.other_models);
  const Json* function = wire::member_in(tool, "function");
  const std::string name = function == nullptr ? std::string() : wire::text_in(*function, "name");
  if (!is_search(type) && !is_search(name)) return;
  chat.needs |= Need::search;
  chat.beyond.push_back({"tools", Need::search});
  chat.searches.reset();
}

void read_besides(const Json& request, ChatRequest& chat) {
  wire::AskedBesides besides = wire::asked_besides(request, chat.model);
  std::move(besides.models.begin(), besides.models.end(), std::back_inserter(chat.other_models));
  if (!besides.unsent.empty()) note_unsent(std::move(besides.unsent), chat);
  if (besides.searches) chat.searches.reset();
}

}  // namespace spillway::openai
