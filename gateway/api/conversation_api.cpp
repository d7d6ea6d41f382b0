#include "gateway/api/conversation_api.h"

#include "gateway/responses/conversation.h"
#include "gateway/store/fresh_id.h"
#include "gateway/wall_clock.h"

#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace spillway {
namespace {

using responses::ConversationInfo;
using responses::ConversationItem;

constexpr int kPageMax = 100;

// What "{id}" matched: a conversation's id, or that of one of its items behind it.
struct Named {
  std::string conversation;
  std::optional<std::string> item;
};

Named named(const http::Request& raw) {
  constexpr std::string_view kItems = "/items/";
  const auto at = raw.tail.find(kItems);
  if (at == raw.tail.npos) return {raw.tail, std::nullopt};
  return {raw.tail.substr(0, at), raw.tail.substr(at + kItems.size())};
}

Result<responses::ItemPage> page_of(const http::Request& raw) {
  responses::ItemPage page;
  page.after = raw.parameter("after");
  const auto newest = newest_first(raw, true);
  if (!newest) return newest.error();
  page.newest_first = *newest;
  const auto limit = page_limit(raw, page.limit, kPageMax);
  if (!limit) return limit.error();
  page.limit = *limit;
  return page;
}

}  // namespace

void ConversationApi::add_to(http::Routes& routes) const {
  constexpr const char* kOne = "/v1/conversations/{id}";
  routes.add("POST", "/v1/conversations", handle(&ConversationApi::create));
  routes.add("GET", kOne, handle(&ConversationApi::retrieve));
  routes.add("POST", kOne, handle(&ConversationApi::update));
  routes.add("DELETE", kOne, handle(&ConversationApi::remove));
  routes.add("POST", "/v1/conversations/{id}/items", handle(&ConversationApi::add_items));
  routes.add("GET", "/v1/conversations/{id}/items", handle(&ConversationApi::list_items));
}

http::Handler ConversationApi::handle(Work work) const {
  return object_handler(reception_, std::bind_front(work, this));
}

Async<std::string> ConversationApi::create(http::Request& raw, const Visitor& visitor) const {
  const auto request = responses::parse_conversation(raw.body, store::fresh_id(""));
  if (!request) co_return request.error();
  ConversationInfo conversation;
  conversation.id = store::fresh_id("conv_");
  conversation.tenant = visitor.tenant;
  conversation.created = unix_seconds();
  conversation.metadata = request->metadata;
  const std::function<Result<void>()> keep = [this, &conversation, &request] {
    return shelf_->create(conversation, request->items, unix_seconds());
  };
  const auto kept = co_await disk_.run_for_client(keep, visitor.tenant);
  if (!kept) co_return kept.error();
  co_return responses::conversation_text(conversation);
}

Async<std::string> ConversationApi::told(std::string tenant, std::string id) const {
  const std::function<Result<ConversationInfo>()> look = [this, &tenant, &id] {
    return shelf_->find(tenant, id, unix_seconds());
  };
  const auto found = co_await disk_.run_for_client(look, tenant);
  if (!found) co_return found.error();
  co_return responses::conversation_text(*found);
}

Async<std::string> ConversationApi::item(std::string tenant, std::string id,
                                         std::string item_id) const {
  const std::function<Result<std::string>()> look = [this, &tenant, &id, &item_id] {
    return shelf_->item(tenant, id, item_id, unix_seconds());
  };
  co_return co_await disk_.run_for_client(look, tenant);
}

Async<std::string> ConversationApi::retrieve(http::Request& raw, const Visitor& visitor) const {
  const Named asked = named(raw);
  if (asked.item) co_return co_await item(visitor.tenant, asked.conversation, *asked.item);
  co_return co_await told(visitor.tenant, asked.conversation);
}

Async<std::string> ConversationApi::update(http::Request& raw, const Visitor& visitor) const {
  const auto metadata = responses::parse_conversation_metadata(raw.body);
  if (!metadata) co_return metadata.error();
  const std::function<Result<void>()> change = [this, &raw, &visitor, &metadata] {
    return shelf_->set_metadata(visitor.tenant, raw.tail, *metadata, unix_seconds());
  };
  const auto changed = co_await disk_.run_for_client(change, visitor.tenant);
  if (!changed) co_return changed.error();
  co_return co_await told(visitor.tenant, raw.tail);
}

Async<std::string> ConversationApi::remove(http::Request& raw, const Visitor& visitor) const {
  const Named asked = named(raw);
  const std::function<Result<void>()> drop = [this, &asked, &visitor] {
    if (!asked.item) return shelf_->remove(visitor.tenant, asked.conversation);
    return shelf_->remove_item(visitor.tenant, asked.conversation, *asked.item, unix_seconds());
  };
  const auto dropped = co_await disk_.run_to_free(drop, visitor.tenant);
  if (!dropped) co_return dropped.error();
  if (asked.item) co_return co_await told(visitor.tenant, asked.conversation);
  co_return responses::deleted_conversation_text(asked.conversation);
}

Async<std::string> ConversationApi::add_items(http::Request& raw, const Visitor& visitor) const {
  const auto items = responses::parse_conversation_items(raw.body, store::fresh_id(""));
  if (!items) co_return items.error();
  const std::function<Result<void>()> keep = [this, &raw, &visitor, &items] {
    return shelf_->add(visitor.tenant, raw.tail, *items, unix_seconds());
  };
  const auto kept = co_await disk_.run_for_client(keep, visitor.tenant);
  if (!kept) co_return kept.error();
  std::string list;
  for (const ConversationItem& item : *items) list += (list.empty() ? "[" : ",") + item.text;
  co_return responses::items_page(list + "]", kPageMax);
}

Async<std::string> ConversationApi::list_items(http::Request& raw, const Visitor& visitor) const {
  const auto page = page_of(raw);
  if (!page) co_return page.error();
  const std::function<Result<std::string>()> look = [this, &raw, &visitor, &page] {
    return shelf_->page(visitor.tenant, raw.tail, *page, unix_seconds());
  };
  const auto list = co_await disk_.run_for_client(look, visitor.tenant);
  if (!list) co_return list.error();
  co_return responses::items_page(*list, page->limit);
}

}  // namespace spillway
