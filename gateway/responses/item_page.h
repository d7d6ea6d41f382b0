// Pages of items, cut out of lists and put together as text: of an item nothing is parsed but the
// ids that a page tells. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

struct ItemPage {
  int limit = 20;
  bool newest_first = true;
  std::string after;  // The id of the item before the first, deleted or not; empty: from the start.
};

// The items of a list, as they stand in it. Throws std::runtime_error where it is not the JSON
// array that was written here.
std::vector<std::string_view> elements_of(std::string_view list);

bool has_id(std::string_view item, const std::string& id);

// The page's object, of a list with one more than `limit` where more follow.
std::string items_page(std::string_view list, int limit);

}  // namespace spillway::responses
