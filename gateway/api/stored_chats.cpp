#include "gateway/api/stored_chats.h"

#include "gateway/http/target.h"
#include "gateway/openai/stored_chat.h"
#include "gateway/wall_clock.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace spillway {
namespace {

constexpr int kPageMax = 100;
constexpr std::size_t kMetadataMax = 16;  // Pairs that a completion may have.

// metadata[key]=value, as often as there are.
std::vector<std::pair<std::string, std::string>> metadata_in(std::string_view query) {
  constexpr std::string_view kOpen = "metadata[";
  std::vector<std::pair<std::string, std::string>> wanted;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto sign = pair.find('=');
    if (sign == pair.npos) continue;
    const auto name = http::percent_decode(pair.substr(0, sign));
    const auto value = http::percent_decode(pair.substr(sign + 1));
    if (!name || !value || !name->starts_with(kOpen) || !name->ends_with(']')) continue;
    wanted.emplace_back(name->substr(kOpen.size(), name->size() - kOpen.size() - 1), *value);
  }
  return wanted;
}

Result<stored::ChatQuery> query_of(const http::Request& raw) {
  stored::ChatQuery query;
  query.after = raw.parameter("after");
  query.model = raw.parameter("model");
  query.metadata = metadata_in(raw.query);
  if (query.metadata.size() > kMetadataMax) {
    return Error{Errc::invalid_request,
                 "may be filtered by at most " + std::to_string(kMetadataMax) + " pairs",
                 "metadata", std::nullopt};
  }
  const auto newest = newest_first(raw, false);
  if (!newest) return newest.error();
  query.newest_first = *newest;
  const auto limit = page_limit(raw, query.limit, kPageMax);
  if (!limit) return limit.error();
  query.limit = *limit;
  return query;
}

}  // namespace

void StoredChats::add_to(http::Routes& routes) const {
  constexpr const char* kOne = "/v1/chat/completions/{id}";
  routes.add("GET", "/v1/chat/completions", handle(&StoredChats::list));
  routes.add("GET", kOne, handle(&StoredChats::retrieve));
  routes.add("POST", kOne, handle(&StoredChats::update));
  routes.add("DELETE", kOne, handle(&StoredChats::remove));
  routes.add("GET", "/v1/chat/completions/{id}/messages", handle(&StoredChats::messages));
}

http::Handler StoredChats::handle(Work work) const {
  return object_handler(reception_, std::bind_front(work, this));
}

Async<void> StoredChats::put(wire::KeptChat chat) {
  const std::function<Result<void>()> keep = [this, &chat] {
    return store_->put(chat, unix_seconds());
  };
  co_return co_await disk_.run_for_client(keep, chat.tenant);
}

Async<wire::KeptChat> StoredChats::find(const http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<wire::KeptChat>()> look = [this, &raw, &visitor] {
    return store_->find(visitor.tenant, raw.tail, unix_seconds());
  };
  co_return co_await disk_.run_for_client(look, visitor.tenant);
}

Async<std::string> StoredChats::list(http::Request& raw, const Visitor& visitor) const {
  const auto query = query_of(raw);
  if (!query) co_return query.error();
  const std::function<Result<stored::ChatPage>()> look = [this, &query, &visitor] {
    return store_->list(visitor.tenant, *query, unix_seconds());
  };
  const auto page = co_await disk_.run_for_client(look, visitor.tenant);
  if (!page) co_return page.error();
  co_return openai::stored_chats(page->chats, page->has_more);
}

Async<std::string> StoredChats::retrieve(http::Request& raw, const Visitor& visitor) const {
  const auto chat = co_await find(raw, visitor);
  if (!chat) co_return chat.error();
  co_return openai::stored_chat(*chat);
}

Async<std::string> StoredChats::update(http::Request& raw, const Visitor& visitor) const {
  const auto metadata = openai::parse_metadata(raw.body);
  if (!metadata) co_return metadata.error();
  const std::function<Result<void>()> change = [this, &raw, &visitor, &metadata] {
    return store_->set_metadata(visitor.tenant, raw.tail, *metadata);
  };
  const auto changed = co_await disk_.run_for_client(change, visitor.tenant);
  if (!changed) co_return changed.error();
  co_return co_await retrieve(raw, visitor);
}

Async<std::string> StoredChats::remove(http::Request& raw, const Visitor& visitor) const {
  const std::function<Result<void>()> drop = [this, &raw, &visitor] {
    return store_->remove(visitor.tenant, raw.tail);
  };
  const auto dropped = co_await disk_.run_to_free(drop, visitor.tenant);
  if (!dropped) co_return dropped.error();
  co_return openai::deleted_chat(raw.tail);
}

Async<std::string> StoredChats::messages(http::Request& raw, const Visitor& visitor) const {
  const auto query = query_of(raw);
  if (!query) co_return query.error();
  const auto chat = co_await find(raw, visitor);
  if (!chat) co_return chat.error();
  co_return openai::stored_messages(*chat, query->after, query->limit, query->newest_first);
}

}  // namespace spillway
