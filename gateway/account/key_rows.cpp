#include "gateway/account/key_rows.h"

#include <algorithm>

namespace spillway::account {
namespace {

constexpr double kParts = 1'000'000.0;  // A share is kept in whole millionths.

// Names hold no commas.
std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    names.emplace_back(name);
    text.remove_prefix(std::min(text.size(), name.size() + 1));
  }
  return names;
}

template <class Number>
void bind(store::Statement& statement, int column, const std::optional<Number>& value) {
  if (value) {
    statement.bind(column, *value);
  } else {
    statement.bind_null(column);
  }
}

std::optional<std::int64_t> optional(const store::Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return row.integer(column);
}

MadeKey made_of(const store::Statement& row) {
  MadeKey made;
  config::Key& key = made.key;
  made.id = row.text(0);
  key.name = row.text(1);
  key.tenant = row.text(2);
  key.project = row.text(3);
  key.default_class = row.text(4);
  key.classes = split(row.text(5));
  key.models = split(row.text(6));
  key.scopes = split(row.text(7));
  key.local_only = row.integer(8) != 0;
  key.limits = {static_cast<int>(row.integer(9)), static_cast<int>(row.integer(10)),
                static_cast<int>(row.integer(11))};
  key.budget.day = optional(row, 12);
  key.budget.month = optional(row, 13);
  key.budget.warn_at = static_cast<double>(row.integer(14)) / kParts;
  key.budget.hard = row.integer(15) != 0;
  made.created = row.integer(16);
  made.expires = optional(row, 17);
  made.revoked = optional(row, 18);
  made.hash = row.text(19);
  made.hash_before = row.text(20);
  made.before_until = row.integer(21);
  key.residency = split(row.text(22));
  return made;
}

}  // namespace

const std::vector<std::string>& key_versions() {
  static const std::vector<std::string> kVersions = {
      "CREATE TABLE keys(id TEXT PRIMARY KEY, name TEXT NOT NULL, tenant TEXT NOT NULL, "
      "project TEXT NOT NULL, default_class TEXT NOT NULL, classes TEXT NOT NULL, "
      "models TEXT NOT NULL, scopes TEXT NOT NULL, local_only INTEGER NOT NULL, "
      "requests INTEGER NOT NULL, tokens INTEGER NOT NULL, concurrency INTEGER NOT NULL, "
      "day INTEGER, month INTEGER, warn_at INTEGER NOT NULL, hard INTEGER NOT NULL, "
      "created INTEGER NOT NULL, expires INTEGER, revoked INTEGER, hash TEXT NOT NULL, "
      "hash_before TEXT NOT NULL, before_until INTEGER NOT NULL) WITHOUT ROWID",
      "ALTER TABLE keys ADD COLUMN residency TEXT NOT NULL DEFAULT ''"};
  return kVersions;
}

Result<std::vector<MadeKey>> read_keys(store::Database& database) {
  auto asked = database.prepare("SELECT * FROM keys");
  if (!asked) return asked.error();
  std::vector<MadeKey> keys;
  auto read = asked->each([&] { keys.push_back(made_of(*asked)); });
  if (!read) return read.error();
  return keys;
}

Result<void> write_key(store::Database& database, const MadeKey& made) {
  auto write = database.prepare(
      "INSERT OR REPLACE INTO keys VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  if (!write) return write.error();
  const config::Key& key = made.key;
  write->bind(0, made.id).bind(1, key.name).bind(2, key.tenant).bind(3, key.project);
  write->bind(4, key.default_class).bind(5, joined(key.classes)).bind(6, joined(key.models));
  write->bind(7, joined(key.scopes)).bind(8, std::int64_t{key.local_only});
  write->bind(9, std::int64_t{key.limits.requests_per_minute});
  write->bind(10, std::int64_t{key.limits.tokens_per_minute});
  write->bind(11, std::int64_t{key.limits.concurrency});
  bind(*write, 12, key.budget.day);
  bind(*write, 13, key.budget.month);
  write->bind(14, static_cast<std::int64_t>(key.budget.warn_at * kParts + 0.5));
  write->bind(15, std::int64_t{key.budget.hard}).bind(16, made.created);
  bind(*write, 17, made.expires);
  bind(*write, 18, made.revoked);
  write->bind(19, made.hash).bind(20, made.hash_before).bind(21, made.before_until);
  write->bind(22, joined(key.residency));
  return write->run();
}

}  // namespace spillway::account
