#include "gateway/policy/auth.h"

#include <algorithm>
#include <utility>

namespace spillway::policy {
namespace {

Error unauthenticated(std::string message) {
  return Error{.code = Errc::unauthenticated, .message = std::move(message)};
}

// The first word of the path, behind its version if it has one. Conversations are responses'.
std::string_view scope_of(std::string_view path) {
  for (const std::string_view version : {"/v1/", "/v2/", "/"}) {
    if (!path.starts_with(version)) continue;
    path.remove_prefix(version.size());
    break;
  }
  const std::string_view word = path.substr(0, path.find('/'));
  return word == "conversations" ? "responses" : word;
}

}  // namespace

bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  unsigned difference = secret.size() == given.size() ? 0U : 1U;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char other = given.empty() ? '\0' : given[i % given.size()];
    difference |= static_cast<unsigned char>(secret[i] ^ other);
  }
  return difference == 0U;
}

Result<void> check_scope(const Caller& caller, std::string_view path) {
  if (!caller.key || caller.key->scopes.empty()) return {};
  const auto& scopes = caller.key->scopes;
  const std::string_view scope = scope_of(path);
  const bool is_free = scope == "tokenize" || scope == "detokenize";
  if (is_free || std::find(scopes.begin(), scopes.end(), scope) != scopes.end()) return {};
  return Error{.code = Errc::forbidden,
               .message = "This key may not call " + std::string(path) + ": not in its scopes."};
}

Result<void> check_model(const Caller& caller, std::string_view model) {
  if (!caller.key || caller.key->models.empty()) return {};
  const auto& models = caller.key->models;
  if (std::find(models.begin(), models.end(), model) != models.end()) return {};
  return Error{Errc::forbidden, "This key may not ask for the model '" + std::string(model) + "'.",
               "model", std::nullopt};
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

Result<Caller> KeyTable::named(std::string_view key_name, std::string_view tenant) const {
  if (open_to_all()) return Caller{};
  for (const config::Key& key : settings_->keys) {
    if (key.name == key_name && key.tenant == tenant) return Caller{&key, nullptr};
  }
  const auto made = made_ ? made_->named(key_name) : nullptr;
  if (made && made->tenant == tenant) return Caller{made.get(), made};
  return unauthenticated("The API key that this was sent with is not known here any more.");
}

}  // namespace spillway::policy
