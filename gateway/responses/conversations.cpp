#include "gateway/responses/conversations.h"

#include <limits>
#include <utility>

namespace spillway::responses {
namespace {

constexpr std::int64_t kBytesBeside = 128;  // What a row takes beside its text, roughly.

// A deleted item keeps its place, for a page that begins behind it; its text is empty.
const std::vector<std::string> kVersions = {
    "CREATE TABLE conversations(place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT "
    "NOT "
    "NULL, created INTEGER NOT NULL, used INTEGER NOT NULL, metadata TEXT NOT NULL, bytes INTEGER "
    "NOT NULL);"
    "CREATE INDEX by_use ON conversations(used, place);"
    "CREATE INDEX of_tenant ON conversations(tenant, used, place);"
    "CREATE TABLE items(conversation TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL,"
    " text TEXT NOT NULL, PRIMARY KEY(conversation, place)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX items_by_id ON items(conversation, id);"
    "CREATE TABLE room(tenant TEXT PRIMARY KEY, bytes INTEGER NOT NULL, conversations INTEGER NOT "
    "NULL) WITHOUT ROWID;"
    "CREATE TRIGGER came AFTER INSERT ON conversations BEGIN"
    " INSERT INTO room VALUES(NEW.tenant, NEW.bytes, 1) ON CONFLICT(tenant) DO UPDATE SET"
    " bytes = bytes + NEW.bytes, conversations = conversations + 1; END;"
    "CREATE TRIGGER grew AFTER UPDATE OF bytes ON conversations BEGIN"
    " UPDATE room SET bytes = bytes + NEW.bytes - OLD.bytes WHERE tenant = NEW.tenant; END;"
    "CREATE TRIGGER went AFTER DELETE ON conversations BEGIN"
    " DELETE FROM items WHERE conversation = OLD.id;"
    " UPDATE room SET bytes = bytes - OLD.bytes, conversations = conversations - 1"
    " WHERE tenant = OLD.tenant;"
    " DELETE FROM room WHERE tenant = OLD.tenant AND conversations = 0; END;"};

Error missing(std::string_view id) {
  return {Errc::not_found, "Conversation with id '" + std::string(id) + "' not found.",
          "conversation", std::nullopt};
}

Error no_item(std::string_view id, std::string_view item_id) {
  return {Errc::not_found,
          "Item with id '" + std::string(item_id) + "' not found in conversation '" +
              std::string(id) + "'.",
          "item_id", std::nullopt};
}

std::int64_t bytes_of(std::string_view text) {
  return static_cast<std::int64_t>(text.size()) + kBytesBeside;
}

}  // namespace

Result<std::unique_ptr<Conversations>> Conversations::open(const std::string& path,
                                                           ConversationLimits limits,
                                                           std::int64_t now) {
  auto database = store::Database::open(path, kVersions);
  if (!database) return database.error();
  std::unique_ptr<Conversations> all(new Conversations(std::move(*database), limits));
  const auto done = all->make_room(now);
  if (!done) return done.error();
  return all;
}

Result<std::int64_t> Conversations::number(std::string_view sql, std::string_view text) {
  auto asked = database_.prepare(sql);
  if (!asked) return asked.error();
  if (!text.empty()) asked->bind(0, text);
  const auto row = asked->step();
  if (!row) return row.error();
  return *row ? asked->integer(0) : 0;
}

Result<void> Conversations::expire(std::int64_t now) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  const auto done = make_room(now);
  return done ? transaction->commit() : done;
}

// Requires: a transaction, so that it is as one with what wants the room.
Result<void> Conversations::make_room(std::int64_t now) {
  auto old = database_.prepare("DELETE FROM conversations WHERE used <= ?");
  if (!old) return old.error();
  auto done = old->bind(0, now - limits_.ttl_seconds).run();
  auto oldest = database_.prepare(
      "DELETE FROM conversations WHERE place = (SELECT place FROM conversations WHERE tenant = "
      "(SELECT tenant FROM room ORDER BY bytes DESC LIMIT 1) ORDER BY used, place LIMIT 1)");
  if (!oldest) return oldest.error();
  while (done) {
    const auto bytes = number("SELECT COALESCE(SUM(bytes), 0) FROM room", "");
    if (!bytes) return bytes.error();
    if (*bytes <= limits_.bytes_max) break;
    done = oldest->run();
  }
  return done;
}

Result<void> Conversations::create(const ConversationInfo& conversation,
                                   const std::vector<ConversationItem>& items, std::int64_t now) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  auto insert = database_.prepare(
      "INSERT INTO conversations(id, tenant, created, used, metadata, bytes) "
      "VALUES(?, ?, ?, ?, ?, ?)");
  if (!insert) return insert.error();
  auto done = insert->bind(0, conversation.id)
                  .bind(1, conversation.tenant)
                  .bind(2, conversation.created)
                  .bind(3, now)
                  .bind(4, conversation.metadata)
                  .bind(5, bytes_of(conversation.metadata))
                  .run();
  if (done) done = put(conversation.id, items, now);
  if (!done) return done;
  auto too_many = database_.prepare(
      "DELETE FROM conversations WHERE place IN (SELECT place FROM conversations WHERE tenant = ?1 "
      "ORDER BY used, place LIMIT max(0, (SELECT conversations FROM room WHERE tenant = ?1) - "
      "?2))");
  if (!too_many) return too_many.error();
  done = too_many->bind(0, conversation.tenant).bind(1, limits_.tenant_max).run();
  if (done) done = make_room(now);
  return done ? transaction->commit() : done;
}

Result<ConversationInfo> Conversations::find(std::string_view tenant, std::string_view id,
                                             std::int64_t now) {
  auto asked = database_.prepare(
      "SELECT created, metadata FROM conversations WHERE id = ? AND tenant = ? AND used > ?");
  if (!asked) return asked.error();
  const auto row = asked->bind(0, id).bind(1, tenant).bind(2, now - limits_.ttl_seconds).step();
  if (!row) return row.error();
  if (!*row) return missing(id);
  return ConversationInfo{std::string(id), std::string(tenant), asked->integer(0),
                          std::string(asked->text(1))};
}

Result<void> Conversations::check(std::string_view tenant, std::string_view id, std::int64_t now) {
  const auto found = find(tenant, id, now);
  if (!found) return found.error();
  return {};
}

Result<void> Conversations::set_metadata(std::string_view tenant, std::string_view id,
                                         std::string_view metadata, std::int64_t now) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  const auto there = check(tenant, id, now);
  if (!there) return there;
  auto update = database_.prepare(
      "UPDATE conversations SET bytes = bytes + ? - length(CAST(metadata AS BLOB)), metadata = ?, "
      "used = ? WHERE id = ?");
  if (!update) return update.error();
  auto done = update->bind(0, static_cast<std::int64_t>(metadata.size()))
                  .bind(1, metadata)
                  .bind(2, now)
                  .bind(3, id)
                  .run();
  if (done) done = make_room(now);
  return done ? transaction->commit() : done;
}

Result<void> Conversations::remove(std::string_view tenant, std::string_view id) {
  auto row = database_.prepare("DELETE FROM conversations WHERE id = ? AND tenant = ?");
  if (!row) return row.error();
  const auto done = row->bind(0, id).bind(1, tenant).run();
  if (!done) return done;
  return database_.changed() == 0 ? Result<void>(missing(id)) : Result<void>();
}

Result<void> Conversations::check_room(std::string_view id) {
  const auto bytes = number("SELECT bytes FROM conversations WHERE id = ?", id);
  if (!bytes) return bytes.error();
  const auto items = number("SELECT max(place) + 1 FROM items WHERE conversation = ?", id);
  if (!items) return items.error();
  if (*bytes < limits_.items_bytes_max && *items < limits_.items_max) return {};
  return Error{Errc::context_too_long,
               "Conversation '" + std::string(id) +
                   "' has as much as it may: " + std::to_string(limits_.items_bytes_max) +
                   " bytes or " + std::to_string(limits_.items_max) +
                   " items. Begin another, with what matters of it.",
               "conversation", std::nullopt};
}

Result<void> Conversations::add(std::string_view tenant, std::string_view id,
                                const std::vector<ConversationItem>& items, std::int64_t now) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  auto done = check(tenant, id, now);
  if (done) done = check_room(id);
  if (done) done = put(id, items, now);
  if (done) done = make_room(now);
  return done ? transaction->commit() : done;
}

// Requires: a transaction.
Result<void> Conversations::put(std::string_view id, const std::vector<ConversationItem>& items,
                                std::int64_t now) {
  auto last = number("SELECT max(place) + 1 FROM items WHERE conversation = ?", id);
  if (!last) return last.error();
  auto insert = database_.prepare("INSERT INTO items VALUES(?, ?, ?, ?)");
  if (!insert) return insert.error();
  std::int64_t place = *last, bytes = 0;
  for (const ConversationItem& item : items) {
    insert->bind(0, id).bind(1, place++).bind(2, item.id).bind(3, item.text);
    const auto done = insert->run();
    if (!done) return done;
    bytes += bytes_of(item.text);
  }
  auto update =
      database_.prepare("UPDATE conversations SET bytes = bytes + ?, used = ? WHERE id = ?");
  if (!update) return update.error();
  return update->bind(0, bytes).bind(1, now).bind(2, id).run();
}

Result<std::string> Conversations::item(std::string_view tenant, std::string_view id,
                                        std::string_view item_id, std::int64_t now) {
  const auto there = check(tenant, id, now);
  if (!there) return there.error();
  auto asked = database_.prepare("SELECT text FROM items WHERE conversation = ? AND id = ?");
  if (!asked) return asked.error();
  const auto row = asked->bind(0, id).bind(1, item_id).step();
  if (!row) return row.error();
  if (!*row || asked->text(0).empty()) return no_item(id, item_id);
  return std::string(asked->text(0));
}

Result<void> Conversations::remove_item(std::string_view tenant, std::string_view id,
                                        std::string_view item_id, std::int64_t now) {
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  const auto text = item(tenant, id, item_id, now);
  if (!text) return text.error();
  auto gone = database_.prepare("UPDATE items SET text = '' WHERE conversation = ? AND id = ?");
  if (!gone) return gone.error();
  auto done = gone->bind(0, id).bind(1, item_id).run();
  if (!done) return done;
  auto less =
      database_.prepare("UPDATE conversations SET bytes = bytes - ?, used = ? WHERE id = ?");
  if (!less) return less.error();
  done = less->bind(0, static_cast<std::int64_t>(text->size())).bind(1, now).bind(2, id).run();
  return done ? transaction->commit() : done;
}

Result<ItemList> Conversations::items(std::string_view tenant, std::string_view id,
                                      std::int64_t now) {
  const auto there = check(tenant, id, now);
  if (!there) return there.error();
  const auto room = check_room(id);
  if (!room) return room.error();
  return list(id, std::numeric_limits<std::int64_t>::max());
}

Result<std::string> Conversations::items_up_to(std::string_view tenant, std::string_view id,
                                               std::string_view last, std::int64_t now) {
  const auto there = check(tenant, id, now);
  if (!there) return there.error();
  if (last.empty()) return "[]";
  const auto place = place_of(id, last);
  if (!place) return place.error();
  auto found = list(id, *place);
  if (!found) return found.error();
  return std::move(found->items);
}

Result<ItemList> Conversations::list(std::string_view id, std::int64_t last_place) {
  auto asked = database_.prepare(
      "SELECT id, text FROM items WHERE conversation = ? AND text != '' AND place <= ? "
      "ORDER BY place");
  if (!asked) return asked.error();
  asked->bind(0, id).bind(1, last_place);
  ItemList found;
  auto done = asked->each([&] {
    found.last = asked->text(0);
    found.items.append(found.items.empty() ? "[" : ",").append(asked->text(1));
  });
  if (!done) return done.error();
  found.items = found.items.empty() ? "[]" : found.items + "]";
  return found;
}

Result<std::int64_t> Conversations::place_of(std::string_view id, std::string_view item_id) {
  auto asked = database_.prepare("SELECT place FROM items WHERE conversation = ? AND id = ?");
  if (!asked) return asked.error();
  const auto row = asked->bind(0, id).bind(1, item_id).step();
  if (!row) return row.error();
  if (!*row)
    return Error{Errc::invalid_request, "'after' names no item of this conversation", "after",
                 std::nullopt};
  return asked->integer(0);
}

Result<std::string> Conversations::page(std::string_view tenant, std::string_view id,
                                        const ItemPage& page, std::int64_t now,
                                        std::string_view last) {
  const auto there = check(tenant, id, now);
  if (!there) return there.error();
  Result<std::int64_t> behind =
      page.newest_first ? std::numeric_limits<std::int64_t>::max() : std::int64_t{-1};
  if (!page.after.empty()) behind = place_of(id, page.after);
  if (!behind) return behind.error();
  Result<std::int64_t> up_to = std::numeric_limits<std::int64_t>::max();
  if (!last.empty()) up_to = place_of(id, last);
  if (!up_to) return up_to.error();
  auto asked = database_.prepare(
      std::string("SELECT text FROM items WHERE conversation = ? AND text != '' AND place <= ? "
                  "AND place ") +
      (page.newest_first ? "< ? ORDER BY place DESC LIMIT ?" : "> ? ORDER BY place LIMIT ?"));
  if (!asked) return asked.error();
  asked->bind(0, id).bind(1, *up_to).bind(2, *behind).bind(3, std::int64_t{page.limit} + 1);
  std::string list;
  auto done = asked->each([&] { list.append(list.empty() ? "[" : ",").append(asked->text(0)); });
  if (!done) return done.error();
  return list.empty() ? "[]" : list + "]";
}

}  // namespace spillway::responses
