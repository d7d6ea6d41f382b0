#include "gateway/responses/shelf.h"

#include "gateway/responses/response_object.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kTurnsMax = 10'000;

const std::vector<std::string> kVersions = {
    "CREATE TABLE responses(id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created INTEGER NOT NULL,"
    " previous TEXT NOT NULL, body TEXT NOT NULL, input TEXT NOT NULL, ended INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX by_age ON responses(created)",
    "CREATE INDEX of_tenant ON responses(tenant, created, id)",
    "ALTER TABLE responses ADD COLUMN conversation TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE responses ADD COLUMN told TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE responses ADD COLUMN transcript BLOB NOT NULL DEFAULT ''"};

Error missing(std::string_view id) {
  return Error{Errc::not_found, "Response with id '" + std::string(id) + "' not found.", "",
               std::nullopt};
}

Error at_work(std::string_view id) {
  return {Errc::invalid_request,
          "Response '" + std::string(id) + "' is still at work: go on with it once it has ended.",
          "previous_response_id", std::nullopt};
}

}  // namespace

std::size_t size_of(const Kept& turn) { return turn.body.size() + turn.input.size(); }

Error conversation_too_large(std::string_view id, std::size_t bytes_max) {
  return {Errc::context_too_long,
          "The conversation up to '" + std::string(id) + "' has more than " +
              std::to_string(bytes_max) +
              " bytes, the most that can be gone on with. Begin another, with what matters of it.",
          "previous_response_id", std::nullopt};
}

Result<Shelf> Shelf::open(const std::string& path, ShelfLimits limits, std::int64_t now) {
  auto database = store::Database::open(path, kVersions);
  if (!database) return database.error();
  Shelf shelf(std::move(*database), limits);
  auto done = shelf.fail_unended();
  if (done) done = shelf.count();
  if (done) done = shelf.make_room(now);
  if (!done) return done.error();
  return shelf;
}

Result<void> Shelf::fail_unended() {
  auto asked = database_.prepare("SELECT id, body FROM responses WHERE ended = 0");
  if (!asked) return asked.error();
  std::vector<std::pair<std::string, std::string>> found;
  auto read = asked->each([&] { found.emplace_back(asked->text(0), asked->text(1)); });
  if (!read) return read;
  auto update = database_.prepare("UPDATE responses SET body = ?, ended = 1 WHERE id = ?");
  if (!update) return update.error();
  for (const auto& [id, body] : found) {
    ordered_json object = ordered_json::parse(body, nullptr, false);
    if (!object.is_object()) object = {{"id", id}, {"object", "response"}};
    fail(object, "server_error",
         "the gateway was restarted before this response was done: ask again");
    auto done = update->bind(0, text_of(object)).bind(1, id).run();
    if (!done) return done.error();
  }
  return {};
}

// Once: every row has its texts in it.
Result<void> Shelf::count() {
  auto sum = database_.prepare("SELECT tenant, SUM(bytes) FROM responses GROUP BY tenant");
  if (!sum) return sum.error();
  return sum->each([&] { add(sum->text(0), sum->integer(1)); });
}

void Shelf::add(std::string_view tenant, std::int64_t bytes) {
  used_ += bytes;
  const auto known = used_by_.try_emplace(std::string(tenant)).first;
  known->second += bytes;
  if (known->second == 0) used_by_.erase(known);
}

// Runs a statement that takes rows away and tells their bytes and whose they were; how many.
Result<int> Shelf::forget(store::Statement& gone) {
  std::vector<std::pair<std::string, std::int64_t>> rows;
  const auto done = gone.each([&] { rows.emplace_back(gone.text(1), gone.integer(0)); });
  if (!done) return done.error();  // Where the disk is full, none of them went.
  for (const auto& [tenant, bytes] : rows) add(tenant, -bytes);
  return static_cast<int>(rows.size());
}

Result<void> Shelf::expire(std::int64_t now) {
  auto old = database_.prepare("DELETE FROM responses WHERE created <= ? RETURNING bytes, tenant");
  if (!old) return old.error();
  const auto gone = forget(old->bind(0, now - limits_.ttl_seconds));
  if (!gone) return gone.error();
  return {};
}

Result<void> Shelf::make_room(std::int64_t now) {
  const auto expired = expire(now);
  if (!expired) return expired;
  auto oldest = database_.prepare(
      "DELETE FROM responses WHERE id = (SELECT id FROM responses WHERE tenant = ? AND ended = 1 "
      "ORDER BY created, id LIMIT 1) RETURNING bytes, tenant");
  if (!oldest) return oldest.error();
  std::set<std::string> at_work;  // Nothing more of theirs has ended.
  while (used_ > limits_.bytes_max && at_work.size() < used_by_.size()) {
    const std::string tenant = largest_but(at_work);
    const auto gone = forget(oldest->bind(0, tenant));
    if (!gone) return gone.error();
    if (*gone == 0) at_work.insert(tenant);
  }
  return {};
}

// Who fills the shelf makes room on it: nobody's responses go because of another's.
std::string Shelf::largest_but(const std::set<std::string>& others) const {
  const std::pair<const std::string, std::int64_t>* largest = nullptr;
  for (const auto& one : used_by_) {
    if (!others.contains(one.first) && (!largest || one.second > largest->second)) largest = &one;
  }
  return largest ? largest->first : std::string();
}

Result<void> Shelf::put(const Kept& response, std::int64_t now) {
  auto before = database_.prepare("SELECT bytes FROM responses WHERE id = ?");
  if (!before) return before.error();
  std::int64_t replaced = 0;
  auto done = before->bind(0, response.id).each([&] { replaced = before->integer(0); });
  if (!done) return done;
  const auto bytes = static_cast<std::int64_t>(size_of(response) + response.transcript.size());
  auto insert = database_.prepare(
      "INSERT OR REPLACE INTO responses(id, tenant, created, previous, body, input, ended, bytes, "
      "conversation, told, transcript) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  if (!insert) return insert.error();
  done = insert->bind(0, response.id)
             .bind(1, response.tenant)
             .bind(2, response.created)
             .bind(3, response.previous)
             .bind(4, response.body)
             .bind(5, response.input)
             .bind(6, std::int64_t{response.ended})
             .bind(7, bytes)
             .bind(8, response.conversation)
             .bind(9, response.told)
             .bind_blob(10, response.transcript)
             .run();
  if (!done) return done;
  add(response.tenant, bytes - replaced);
  return make_room(now);
}

Result<Kept> Shelf::find(std::string_view tenant, std::string_view id, std::int64_t now) {
  auto asked = database_.prepare(
      "SELECT created, previous, body, input, ended, conversation, told FROM responses "
      "WHERE id = ? AND tenant = ? AND created > ?");
  if (!asked) return asked.error();
  auto row = asked->bind(0, id).bind(1, tenant).bind(2, now - limits_.ttl_seconds).step();
  if (!row) return row.error();
  if (!*row) return missing(id);
  Kept found;
  found.id = id;
  found.tenant = tenant;
  found.created = asked->integer(0);
  found.previous = asked->text(1);
  found.body = asked->text(2);
  found.input = asked->text(3);
  found.ended = asked->integer(4) != 0;
  found.conversation = asked->text(5);
  found.told = asked->text(6);
  return found;
}

Result<Kept> Shelf::place_of(std::string_view tenant, std::string_view id, std::int64_t now) {
  auto asked = database_.prepare(
      "SELECT previous, conversation, told FROM responses WHERE id = ? AND tenant = ? AND "
      "created > ?");
  if (!asked) return asked.error();
  const auto row = asked->bind(0, id).bind(1, tenant).bind(2, now - limits_.ttl_seconds).step();
  if (!row) return row.error();
  if (!*row) return missing(id);
  Kept found{.id = std::string(id), .tenant = std::string(tenant)};
  found.previous = asked->text(0);
  found.conversation = asked->text(1);
  found.told = asked->text(2);
  return found;
}

Result<std::string> Shelf::transcript(std::string_view tenant, std::string_view id,
                                      std::int64_t now) {
  auto asked = database_.prepare(
      "SELECT transcript FROM responses WHERE id = ? AND tenant = ? AND created > ?");
  if (!asked) return asked.error();
  auto row = asked->bind(0, id).bind(1, tenant).bind(2, now - limits_.ttl_seconds).step();
  if (!row) return row.error();
  if (!*row) return missing(id);
  return std::string(asked->text(0));
}

Result<void> Shelf::remove(std::string_view tenant, std::string_view id) {
  auto row = database_.prepare(
      "DELETE FROM responses WHERE id = ? AND tenant = ? RETURNING bytes, tenant");
  if (!row) return row.error();
  const auto gone = forget(row->bind(0, id).bind(1, tenant));
  if (!gone) return gone.error();
  if (*gone == 0) return missing(id);
  return {};
}

Result<std::vector<Kept>> Shelf::turns(std::string_view tenant, std::string_view id,
                                       std::int64_t now, std::size_t bytes_max) {
  std::vector<Kept> turns;
  std::size_t bytes = 0;
  std::string at(id);
  while (!at.empty() && turns.size() < kTurnsMax) {
    auto turn = find(tenant, at, now);
    if (!turn) return turn.error();
    if (!turn->ended) return at_work(at);
    bytes += size_of(*turn);
    if (bytes > bytes_max) return conversation_too_large(id, bytes_max);
    at = turn->previous;
    turns.push_back(std::move(*turn));
  }
  std::reverse(turns.begin(), turns.end());
  return turns;
}

}  // namespace spillway::responses
