#include "gateway/stored/chat_store.h"

#include "gateway/store/deleted_places.h"

#include <limits>

namespace spillway::stored {
namespace {

constexpr std::int64_t kKeptSeconds = 30LL * 24 * 3600;
constexpr std::int64_t kPageBytes = 32 << 20;  // From which on a page ends early.

const std::vector<std::string> kVersions = {
    "CREATE TABLE chats (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, "
    "model TEXT NOT NULL, created INTEGER NOT NULL, metadata TEXT NOT NULL, messages TEXT NOT "
    "NULL, "
    "body TEXT NOT NULL);"
    "CREATE INDEX chats_of_tenant ON chats (tenant, place);"
    "CREATE INDEX chats_by_age ON chats (created);",
    "ALTER TABLE chats ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE chats SET bytes = length(messages) + length(body);"
    "DROP INDEX chats_of_tenant;"
    "CREATE INDEX bytes_of_tenant ON chats (tenant, place, bytes);",
    std::string(store::kDeletedPlaces)};

constexpr std::string_view kColumns =
    "SELECT id, tenant, model, created, metadata, messages, body FROM chats ";

wire::KeptChat chat_of(const store::Statement& row) {
  return {std::string(row.text(0)), std::string(row.text(1)), std::string(row.text(2)),
          row.integer(3),           std::string(row.text(4)), std::string(row.text(5)),
          std::string(row.text(6))};
}

std::int64_t bytes_of(const wire::KeptChat& chat) {
  return static_cast<std::int64_t>(chat.messages.size() + chat.body.size());
}

Error no_such(const std::string& id) {
  return {Errc::not_found, "there is no stored completion '" + id + "'", "completion_id",
          std::nullopt};
}

}  // namespace

Result<std::unique_ptr<ChatStore>> ChatStore::open(const std::string& path,
                                                   std::int64_t tenant_max) {
  auto database = store::Database::open(path, kVersions);
  if (!database) return database.error();
  std::unique_ptr<ChatStore> store(new ChatStore(std::move(*database), tenant_max));
  auto sums = store->database_.prepare("SELECT tenant, sum(bytes) FROM chats GROUP BY tenant");
  if (!sums) return sums.error();
  auto counted = sums->each([&] { store->bytes_[std::string(sums->text(0))] = sums->integer(1); });
  if (!counted) return counted.error();
  return store;
}

Result<void> ChatStore::expire(std::int64_t now) {
  auto old =
      database_.prepare("DELETE FROM chats WHERE created <= ? RETURNING tenant, bytes, id, place");
  if (!old) return old.error();
  const auto forgotten = forget(old->bind(0, now - kKeptSeconds));
  if (!forgotten) return forgotten.error();
  return {};
}

Result<void> ChatStore::put(const wire::KeptChat& chat, std::int64_t now) {
  const auto expired = expire(now);
  if (!expired) return expired;
  auto insert = database_.prepare(
      "INSERT INTO chats (id, tenant, model, created, metadata, messages, body, bytes, place) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1 + max((SELECT coalesce(max(place), 0) FROM chats), "
      "(SELECT coalesce(max(place), 0) FROM deleted)))");
  if (!insert) return insert.error();
  insert->bind(0, chat.id).bind(1, chat.tenant).bind(2, chat.model).bind(3, chat.created);
  insert->bind(4, chat.metadata).bind(5, chat.messages).bind(6, chat.body);
  const auto inserted = insert->bind(7, bytes_of(chat)).run();
  if (!inserted) return inserted;
  bytes_[chat.tenant] += bytes_of(chat);
  return make_room(chat.tenant);
}

// The oldest go.
Result<void> ChatStore::make_room(const std::string& tenant) {
  auto oldest = database_.prepare(
      "DELETE FROM chats WHERE place = (SELECT min(place) FROM chats WHERE tenant = ?) "
      "RETURNING tenant, bytes, id, place");
  if (!oldest) return oldest.error();
  while (bytes_[tenant] > tenant_max_) {
    const auto gone = forget(oldest->bind(0, tenant));
    if (!gone) return gone.error();
    if (*gone == 0) break;
  }
  return {};
}

// Runs a statement that takes rows away and tells whose, their bytes, their ids and where they
// stood; how many they were.
Result<int> ChatStore::forget(store::Statement& gone) {
  struct Gone {
    std::string tenant, id;
    std::int64_t place, bytes;
  };
  std::vector<Gone> rows;
  auto done = gone.each([&] {
    rows.push_back(
        {std::string(gone.text(0)), std::string(gone.text(2)), gone.integer(3), gone.integer(1)});
  });
  if (!done) return done.error();  // Where the disk is full, none of them went.
  for (const Gone& one : rows) bytes_[one.tenant] -= one.bytes;
  for (const Gone& one : rows) {
    if (done) done = store::remember_place(database_, one.tenant, one.id, one.place);
  }
  if (!done) return done.error();
  return static_cast<int>(rows.size());
}

Result<wire::KeptChat> ChatStore::find(const std::string& tenant, const std::string& id,
                                       std::int64_t now) {
  auto select =
      database_.prepare(std::string(kColumns) + "WHERE tenant = ? AND id = ? AND created > ?");
  if (!select) return select.error();
  const auto there = select->bind(0, tenant).bind(1, id).bind(2, now - kKeptSeconds).step();
  if (!there) return there.error();
  if (!*there) return no_such(id);
  return chat_of(*select);
}

Result<void> ChatStore::remove(const std::string& tenant, const std::string& id) {
  const auto place = place_of(tenant, id);
  if (!place) return place.error();
  if (!*place) return no_such(id);
  // First: where the disk is full, all can be asked for again.
  const auto remembered = store::remember_place(database_, tenant, id, **place);
  if (!remembered) return remembered;
  auto gone = database_.prepare("DELETE FROM chats WHERE place = ? RETURNING bytes");
  if (!gone) return gone.error();
  std::int64_t bytes = 0;
  const auto done = gone->bind(0, **place).each([&] { bytes = gone->integer(0); });
  if (done) bytes_[tenant] -= bytes;
  return done;
}

Result<std::optional<std::int64_t>> ChatStore::place_of(const std::string& tenant,
                                                        const std::string& id) {
  auto select = database_.prepare("SELECT place FROM chats WHERE tenant = ? AND id = ?");
  if (!select) return select.error();
  const auto there = select->bind(0, tenant).bind(1, id).step();
  if (!there) return there.error();
  return *there ? std::optional(select->integer(0)) : std::nullopt;
}

// From which place on a page begins, in its order.
Result<std::int64_t> ChatStore::place_behind(const std::string& tenant, const ChatQuery& query) {
  if (query.after.empty()) return query.newest_first ? std::numeric_limits<std::int64_t>::max() : 0;
  auto place = place_of(tenant, query.after);
  if (place && !*place) place = store::place_of_deleted(database_, tenant, query.after);
  if (!place) return place.error();
  if (!*place)
    return Error{Errc::invalid_request, "'after' names no stored completion", "after",
                 std::nullopt};
  return **place;
}

Result<void> ChatStore::set_metadata(const std::string& tenant, const std::string& id,
                                     const std::string& metadata) {
  auto statement = database_.prepare("UPDATE chats SET metadata = ? WHERE tenant = ? AND id = ?");
  if (!statement) return statement.error();
  const auto done = statement->bind(0, metadata).bind(1, tenant).bind(2, id).run();
  if (!done) return done.error();
  if (database_.changed() == 0) return no_such(id);
  return {};
}

Result<ChatPage> ChatStore::list(const std::string& tenant, const ChatQuery& query,
                                 std::int64_t now) {
  const auto behind = place_behind(tenant, query);
  if (!behind) return behind.error();
  std::string sql = std::string(kColumns) + "WHERE tenant = ?1 AND place " +
                    (query.newest_first ? "<" : ">") +
                    " ?2 AND (?3 = '' OR model = ?3) AND created > ?5";
  for (std::size_t i = 0; i < query.metadata.size(); ++i) {
    const std::string key = std::to_string(2 * i + 6), value = std::to_string(2 * i + 7);
    sql += " AND EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ?" + key + " AND value = ?" +
           value + ")";
  }
  sql += query.newest_first ? " ORDER BY place DESC LIMIT ?4" : " ORDER BY place LIMIT ?4";
  auto select = database_.prepare(sql);
  if (!select) return select.error();
  select->bind(0, tenant).bind(1, *behind).bind(2, query.model).bind(3, query.limit + 1);
  select->bind(4, now - kKeptSeconds);
  for (std::size_t i = 0; i < query.metadata.size(); ++i) {
    const int place = static_cast<int>(2 * i + 5);
    select->bind(place, query.metadata[i].first).bind(place + 1, query.metadata[i].second);
  }
  ChatPage page;
  std::int64_t bytes = 0;
  while (true) {
    const auto there = select->step();
    if (!there) return there.error();
    if (!*there) return page;
    const bool full = static_cast<int>(page.chats.size()) == query.limit || bytes > kPageBytes;
    if (full) {
      page.has_more = true;
      return page;
    }
    page.chats.push_back(chat_of(*select));
    bytes += bytes_of(page.chats.back());
  }
}

}  // namespace spillway::stored
