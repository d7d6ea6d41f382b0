#include "gateway/account/key_ring.h"

#include "config/digest.h"
#include "gateway/account/calendar.h"
#include "gateway/account/key_rows.h"

#include <algorithm>
#include <sys/random.h>
#include <utility>

namespace spillway::account {
namespace {

constexpr std::string_view kPrefix = "sk-spw-";
constexpr std::size_t kIdBytes = 6;
constexpr std::size_t kSecretBytes = 32;

std::int64_t seconds_now() { return wall_milliseconds() / 1'000; }

std::string random_hex(std::size_t bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string raw(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    const ssize_t more = getrandom(raw.data() + got, bytes - got, 0);
    if (more > 0) got += static_cast<std::size_t>(more);
  }
  std::string hex;
  for (const char byte : raw) {
    hex += kDigits[static_cast<unsigned char>(byte) >> 4U];
    hex += kDigits[static_cast<unsigned char>(byte) & 15U];
  }
  return hex;
}

Error unauthenticated(std::string message) {
  return {Errc::unauthenticated, std::move(message), "", std::nullopt};
}

Error unknown_id(std::string_view id) {
  return {Errc::not_found, "there is no key with the id '" + std::string(id) + "'", "",
          std::nullopt};
}

ShownKey shown(std::shared_ptr<const MadeKey> made, const std::string& secret) {
  std::string whole = std::string(kPrefix) + made->id + "-" + secret;
  return {std::move(made), std::move(whole)};
}

}  // namespace

Result<std::unique_ptr<KeyRing>> KeyRing::open(const std::string& path) {
  auto database = store::Database::open(path, key_versions());
  if (!database) return database.error();
  std::unique_ptr<KeyRing> ring(new KeyRing(std::move(*database)));
  auto loaded = ring->load();
  if (!loaded) return loaded.error();
  return ring;
}

KeyRing::~KeyRing() = default;

Result<void> KeyRing::load() {
  auto rows = read_keys(database_);
  if (!rows) return rows.error();
  auto table = std::make_shared<Table>();
  for (MadeKey& row : *rows) {
    std::string id = row.id;
    table->emplace(std::move(id), std::make_shared<const MadeKey>(std::move(row)));
  }
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
  return {};
}

std::shared_ptr<const KeyRing::Table> KeyRing::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

// On the disk first, then in force.
Result<void> KeyRing::keep(std::shared_ptr<const MadeKey> made) {
  auto written = write_key(database_, *made);
  if (!written) return written.error();
  auto next = std::make_shared<Table>(*table());
  (*next)[made->id] = std::move(made);
  const std::lock_guard lock(mutex_);
  table_ = std::move(next);
  return {};
}

bool KeyRing::any() const { return !table()->empty(); }

// An id that is not known takes the same time as a secret that is wrong.
Result<std::shared_ptr<const config::Key>> KeyRing::find(std::string_view bearer) const {
  const std::size_t dash = bearer.find('-', kPrefix.size());
  if (!bearer.starts_with(kPrefix) || dash == std::string_view::npos)
    return unauthenticated("The API key is not known here.");
  const auto keys = table();
  const auto found = keys->find(bearer.substr(kPrefix.size(), dash - kPrefix.size()));
  static const MadeKey kNobody{.hash = std::string(2 * kSecretBytes, '0')};
  const MadeKey& made = found == keys->end() ? kNobody : *found->second;
  const std::string hash = config::sha256_hex(bearer.substr(dash + 1));
  const std::int64_t now = seconds_now();
  const bool is_it = policy::equal_in_constant_time(made.hash, hash);
  const bool was_it =
      policy::equal_in_constant_time(made.hash_before, hash) && now < made.before_until;
  if ((!is_it && !was_it) || made.id.empty())
    return unauthenticated("The API key is not known here.");
  if (made.revoked) return unauthenticated("The API key has been revoked.");
  if (made.expires && now >= *made.expires) return unauthenticated("The API key has expired.");
  return std::shared_ptr<const config::Key>(found->second, &found->second->key);
}

std::shared_ptr<const config::Key> KeyRing::named(std::string_view name) const {
  const std::int64_t now = seconds_now();
  for (const auto& [id, made] : *table()) {
    const bool is_good = !made->revoked && (!made->expires || now < *made->expires);
    if (is_good && made->key.name == name)
      return std::shared_ptr<const config::Key>(made, &made->key);
  }
  return nullptr;
}

// Work that was taken in, and money that was spent, go by a key's name: nobody else inherits it.
Result<void> KeyRing::check_name(const config::Key& key) const {
  const auto taken = [&key](std::string why) {
    return Error{Errc::invalid_request, "there is a key '" + key.name + "'" + why, "name",
                 std::nullopt};
  };
  for (const auto& [id, made] : *table()) {
    if (made->key.name != key.name) continue;
    if (!made->revoked) return taken("; revoke it, or rotate it");
    if (made->key.tenant != key.tenant)
      return taken(" that was revoked, of another tenant; take another name");
  }
  return {};
}

Result<void> KeyRing::check_configured(const std::vector<config::Key>& keys) const {
  for (const auto& [id, made] : *table()) {
    for (const config::Key& key : keys) {
      if (made->key.name != key.name || made->key.tenant == key.tenant) continue;
      return Error{Errc::invalid_request,
                   "keys." + key.name + ": is the name of a key that was made, " + id +
                       " of tenant '" + made->key.tenant +
                       "', and what that has spent goes by it: take another name",
                   key.name, std::nullopt};
    }
  }
  return {};
}

Result<ShownKey> KeyRing::make(config::Key key, std::optional<std::int64_t> expires) {
  auto free = check_name(key);
  if (!free) return free.error();
  auto made = std::make_shared<MadeKey>();
  const std::string secret = random_hex(kSecretBytes);
  made->id = random_hex(kIdBytes);
  made->key = std::move(key);
  made->created = seconds_now();
  made->expires = expires;
  made->hash = config::sha256_hex(secret);
  auto kept = keep(made);
  if (!kept) return kept.error();
  return shown(made, secret);
}

Result<ShownKey> KeyRing::rotate(std::string_view id, std::int64_t overlap) {
  const auto before = show(id);
  if (!before) return before.error();
  if ((*before)->revoked)
    return Error{Errc::invalid_request, "the key is revoked: make another", "", std::nullopt};
  const std::int64_t now = seconds_now();
  if (overlap > 0 && (*before)->before_until > now)
    return Error{Errc::conflict,
                 "the secret before this one is still valid, for " +
                     std::to_string((*before)->before_until - now) +
                     " s: wait, or rotate with an overlap of 0s, which ends both at once",
                 "overlap", std::nullopt};
  auto made = std::make_shared<MadeKey>(**before);
  const std::string secret = random_hex(kSecretBytes);
  made->hash_before = std::exchange(made->hash, config::sha256_hex(secret));
  made->before_until =
      overlap > 0 ? now + 1 + overlap : now;  // A whole overlap, begun within `now`.
  auto kept = keep(made);
  if (!kept) return kept.error();
  return shown(made, secret);
}

Result<std::shared_ptr<const MadeKey>> KeyRing::revoke(std::string_view id) {
  const auto before = show(id);
  if (!before) return before.error();
  if ((*before)->revoked) return *before;
  auto made = std::make_shared<MadeKey>(**before);
  made->revoked = seconds_now();
  std::shared_ptr<const MadeKey> revoked = std::move(made);
  auto kept = keep(revoked);
  if (!kept) return kept.error();
  return revoked;
}

std::vector<std::shared_ptr<const MadeKey>> KeyRing::all() const {
  std::vector<std::shared_ptr<const MadeKey>> keys;
  for (const auto& [id, made] : *table()) keys.push_back(made);
  std::sort(keys.begin(), keys.end(), [](const auto& one, const auto& other) {
    return std::pair(one->created, one->key.name) < std::pair(other->created, other->key.name);
  });
  return keys;
}

Result<std::shared_ptr<const MadeKey>> KeyRing::show(std::string_view id) const {
  const auto keys = table();
  const auto found = keys->find(id);
  if (found == keys->end()) return unknown_id(id);
  return found->second;
}

}  // namespace spillway::account
