// Conversations: lists of items that responses go on from and add to, each of one tenant.
//
// Belongs to the disk's thread: a call may wait for the disk. One that nobody has used for the time
// to live is gone. Past what all may have together, of the tenant that has most the one goes that
// was used longest ago; so it does where a tenant has more of them than it may.
#pragma once

#include "backends/contract/error.h"
#include "gateway/responses/item_page.h"
#include "gateway/store/database.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

struct ConversationInfo {
  std::string id;
  std::string tenant;
  std::int64_t created = 0;  // Unix seconds.
  std::string metadata;      // An object.
};

struct ConversationItem {
  std::string id;  // No other of its conversation has it.
  std::string text;
};

struct ConversationLimits {
  std::int64_t ttl_seconds = 30LL * 24 * 3600;
  std::int64_t bytes_max = 1LL << 30;
  std::int64_t tenant_max = 10'000;           // Conversations.
  std::int64_t items_max = 10'000;            // Of one, those deleted among them.
  std::int64_t items_bytes_max = 32LL << 20;  // Of one.
};

// All of a conversation, as a list, and the id of the last; empty if there is none.
struct ItemList {
  std::string items;
  std::string last;
};

class Conversations {
 public:
  static Result<std::unique_ptr<Conversations>> open(const std::string& path,
                                                     ConversationLimits limits, std::int64_t now);

  Result<void> create(const ConversationInfo& conversation,
                      const std::vector<ConversationItem>& items, std::int64_t now);

  // All below: not_found if the tenant has none of that id, or that has no item of that id.
  Result<ConversationInfo> find(std::string_view tenant, std::string_view id, std::int64_t now);
  Result<void> set_metadata(std::string_view tenant, std::string_view id, std::string_view metadata,
                            std::int64_t now);
  Result<void> remove(std::string_view tenant, std::string_view id);

  // All of them or none. context_too_long: it has as much as it may.
  Result<void> add(std::string_view tenant, std::string_view id,
                   const std::vector<ConversationItem>& items, std::int64_t now);

  Result<std::string> item(std::string_view tenant, std::string_view id, std::string_view item_id,
                           std::int64_t now);
  Result<void> remove_item(std::string_view tenant, std::string_view id, std::string_view item_id,
                           std::int64_t now);

  // Those that nobody has used for so long are gone.
  Result<void> expire(std::int64_t now);

  // context_too_long: it has as much as it may.
  Result<ItemList> items(std::string_view tenant, std::string_view id, std::int64_t now);

  // Those up to the item `last`, deleted or not, as far as they are still there; of an empty id
  // none.
  Result<std::string> items_up_to(std::string_view tenant, std::string_view id,
                                  std::string_view last, std::int64_t now);

  // As a list, with one more than the page's limit where more follow; none behind the item `last`,
  // unless that is empty.
  Result<std::string> page(std::string_view tenant, std::string_view id, const ItemPage& page,
                           std::int64_t now, std::string_view last = {});

 private:
  Conversations(store::Database database, ConversationLimits limits)
      : database_(std::move(database)), limits_(limits) {}

  Result<void> check(std::string_view tenant, std::string_view id, std::int64_t now);
  Result<void> check_room(std::string_view id);
  Result<void> put(std::string_view id, const std::vector<ConversationItem>& items,
                   std::int64_t now);
  Result<void> make_room(std::int64_t now);
  Result<std::int64_t> number(std::string_view sql, std::string_view text);
  Result<ItemList> list(std::string_view id, std::int64_t last_place);
  Result<std::int64_t> place_of(std::string_view id, std::string_view item_id);

  store::Database database_;
  const ConversationLimits limits_;
};

}  // namespace spillway::responses
