#include "gateway/policy/auth.h"

#include <algorithm>
#include <utility>

namespace spillway::policy {
namespace {

// Looks at every character whatever the first difference; only the length of the secret shows in
// the time it takes.
bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  unsigned difference = secret.size() == given.size() ? 0U : 1U;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char other = given.empty() ? '\0' : given[i % given.size()];
    difference |= static_cast<unsigned char>(secret[i] ^ other);
  }
  return difference == 0U;
}

Error unauthenticated(std::string message) {
  return Error{.code = Errc::unauthenticated, .message = std::move(message)};
}

}  // namespace

bool may_call(const config::Key& key, std::string_view path) {
  constexpr std::string_view kVersion = "/v1/";
  if (key.scopes.empty() || !path.starts_with(kVersion)) return true;
  path.remove_prefix(kVersion.size());
  const std::string_view scope = path.substr(0, path.find('/'));
  return std::find(key.scopes.begin(), key.scopes.end(), scope) != key.scopes.end();
}

KeyTable::KeyTable(std::shared_ptr<const config::Settings> settings, const MadeKeys* made)
    : settings_(std::move(settings)), made_(made) {}

bool KeyTable::open_to_all() const {
  return settings_->keys.empty() && (made_ == nullptr || !made_->any());
}

Result<Caller> KeyTable::identify(std::string_view bearer) const {
  if (open_to_all()) return Caller{};
  if (bearer.empty()) {
    return unauthenticated("No API key given. Send it as `Authorization: Bearer <key>`.");
  }
  Caller caller;
  for (const config::Key& key : settings_->keys) {
    if (equal_in_constant_time(key.secret, bearer)) caller.key = &key;
  }
  if (caller.key) return caller;
  if (made_ == nullptr) return unauthenticated("The API key is not known here.");
  auto made = made_->find(bearer);
  if (!made) return made.error();
  return Caller{made->get(), *made};
}

Result<Caller> KeyTable::named(std::string_view key_name) const {
  if (open_to_all()) return Caller{};
  for (const config::Key& key : settings_->keys) {
    if (key.name == key_name) return Caller{&key, nullptr};
  }
  if (const auto made = made_ ? made_->named(key_name) : nullptr) return Caller{made.get(), made};
  return unauthenticated("The API key that this was sent with is not known here any more.");
}

}  // namespace spillway::policy
