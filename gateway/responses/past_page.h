// A page of the items that led to a response, its own input the newest.
//
// In turn it is read on the disk's thread and taken in by who asked for it: what has been read is
// to be parsed, which may take long. It goes from turn to turn, from the end at which the page
// begins, and reads no further than the page needs. Of what led there, what has been deleted
// meanwhile is left out, and all before it.
#pragma once

#include "backends/contract/error.h"
#include "gateway/responses/conversations.h"
#include "gateway/responses/item_page.h"
#include "gateway/responses/shelf.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

class PastPage {
 public:
  // Both stores must outlive it.
  PastPage(Shelf& shelf, Conversations& conversations, std::string tenant, std::string response,
           ItemPage page);

  // Looks at one more turn. not_found: there is no such response.
  Result<void> read(std::int64_t now);
  // Whether there is something to be taken in; else it is to read on.
  bool has_read() const { return turn_ || list_ || next_ == Next::nothing; }
  // True once the page is whole. invalid_request: no item that led to the response has the id
  // `after`; internal: what has been read is damaged.
  Result<bool> take_in();

  // One item more than the page's limit where more follow.
  std::string list() const { return items_.empty() ? "[]" : items_ + "]"; }

 private:
  enum class Next { first, turn, conversation, nothing };

  Result<void> read_back(std::int64_t now);
  Result<void> look_for_first(std::int64_t now);
  Result<void> read_forth(std::int64_t now);
  Result<void> read_conversation(std::int64_t now);
  void lead_to(const Kept& first);
  Result<bool> end() const;
  void take_turn(const Kept& turn);
  void take(std::string_view list);
  void add(const std::vector<std::string_view>& items);  // In the page's order.
  bool is_full() const { return count_ > page_.limit; }

  Shelf& shelf_;
  Conversations& conversations_;
  const std::string tenant_;
  const ItemPage page_;
  const std::string response_;

  Next next_;
  std::string at_;                   // The turn to be looked at; empty: there is no other.
  std::vector<std::string> turns_;   // Looked at on the way to the first, the newest first.
  std::string conversation_, told_;  // That the first went on from, and its last item there.
  std::optional<Kept> turn_;         // Read, and not taken in yet.
  std::optional<std::string> list_;  // Of the conversation, likewise.
  bool found_;                       // What the page begins behind.
  int count_ = 0;
  std::string items_;  // A list that is still open.
};

}  // namespace spillway::responses
