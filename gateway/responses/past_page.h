// A page of the items that led to a response, its own input the newest.
//
// On the disk's thread, in steps, between which others use it. It goes from turn to turn, from the
// end at which the page begins, and reads no further than the page needs. Of what led there, what
// has been deleted meanwhile is left out, and all before it.
#pragma once

#include "backends/contract/error.h"
#include "gateway/responses/conversations.h"
#include "gateway/responses/item_page.h"
#include "gateway/responses/shelf.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

class PastPage {
 public:
  // Both stores must outlive it.
  PastPage(Shelf& shelf, Conversations& conversations, std::string tenant, std::string response,
           ItemPage page);

  // Looks at one more turn; true once the page is whole. not_found: there is no such response;
  // invalid_request: no item that led to it has the id `after`.
  Result<bool> step(std::int64_t now);

  // One item more than the page's limit where more follow.
  std::string list() const { return items_.empty() ? "[]" : items_ + "]"; }

 private:
  Result<bool> step_back(std::int64_t now);
  Result<bool> step_forth(std::int64_t now);
  Result<bool> end() const;
  Result<void> look_for_first(std::int64_t now);
  Result<void> take_conversation(const Kept& first, std::int64_t now);
  void take(std::string_view list);
  void add(const std::vector<std::string_view>& items);  // In the page's order.
  bool is_full() const { return count_ > page_.limit; }

  Shelf& shelf_;
  Conversations& conversations_;
  const std::string tenant_;
  const ItemPage page_;
  const std::string response_;

  std::string at_;                  // The turn to be looked at; empty: there is no other.
  std::vector<std::string> turns_;  // Looked at on the way to the first, the newest first.
  bool forth_ = false;              // On the way from it.
  bool found_;                      // What the page begins behind.
  int count_ = 0;
  std::string items_;  // A list that is still open.
};

}  // namespace spillway::responses
