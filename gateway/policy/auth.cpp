#include "gateway/policy/auth.h"

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

KeyTable::KeyTable(std::shared_ptr<const config::Settings> settings)
    : settings_(std::move(settings)) {}

Result<Caller> KeyTable::identify(std::string_view bearer) const {
  if (settings_->keys.empty()) return Caller{};
  if (bearer.empty()) {
    return unauthenticated("No API key given. Send it as `Authorization: Bearer <key>`.");
  }
  Caller caller;
  for (const config::Key& key : settings_->keys) {
    if (equal_in_constant_time(key.secret, bearer)) caller.key = &key;
  }
  if (!caller.key) return unauthenticated("The API key is not known here.");
  return caller;
}

Result<Caller> KeyTable::named(std::string_view key_name) const {
  if (settings_->keys.empty()) return Caller{};
  for (const config::Key& key : settings_->keys) {
    if (key.name == key_name) return Caller{&key};
  }
  return unauthenticated("The API key that this was sent with is not known here any more.");
}

}  // namespace spillway::policy
