#include "gateway/responses/item_page.h"

#include "gateway/responses/response_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

bool is_escaped(std::string_view text, std::size_t at) {
  std::size_t backslashes = 0;
  while (text[at - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

// Behind the string that begins at `quote`.
std::size_t behind_string(std::string_view text, std::size_t quote) {
  std::size_t end = text.find('"', quote + 1);
  while (end != text.npos && is_escaped(text, end)) end = text.find('"', end + 1);
  return end == text.npos ? end : end + 1;
}

std::string id_of(std::string_view item) {
  return ordered_json::parse(item).value("id", std::string());
}

}  // namespace

std::vector<std::string_view> elements_of(std::string_view list) {
  std::vector<std::string_view> elements;
  std::size_t begin = 1;
  int depth = 0;
  for (std::size_t at = list.find_first_of("[]{},\""); at < list.size();
       at = list.find_first_of("[]{},\"", at)) {
    const char c = list[at];
    const bool ends = (c == ',' && depth == 1) || (c == ']' && depth == 1);
    if (ends && at > begin) elements.push_back(list.substr(begin, at - begin));
    if (ends) begin = at + 1;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    at = c == '"' ? behind_string(list, at) : at + 1;
  }
  if (!list.starts_with('[') || depth != 0) throw std::runtime_error("a list of items is damaged");
  return elements;
}

bool has_id(std::string_view item, const std::string& id) {
  std::string told;
  wire::append_json_string(told, id);
  return item.find(told) != item.npos && id_of(item) == id;
}

std::string items_page(std::string_view list, int limit) {
  std::vector<std::string_view> items = elements_of(list);
  const bool more = items.size() > static_cast<std::size_t>(limit);
  if (more) items.resize(static_cast<std::size_t>(limit));
  std::string page = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < items.size(); ++i) page.append(i > 0 ? "," : "").append(items[i]);
  page += R"(],"first_id":)";
  wire::append_json_string_or_null(page, items.empty() ? "" : id_of(items.front()));
  page += R"(,"last_id":)";
  wire::append_json_string_or_null(page, items.empty() ? "" : id_of(items.back()));
  return page + (more ? R"(,"has_more":true})" : R"(,"has_more":false})");
}

}  // namespace spillway::responses
