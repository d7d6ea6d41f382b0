#include "gateway/reload/revocation.h"

#include "config/named.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway {
namespace {

using config::Key;

using Names = std::vector<std::string>;

// Of lists where an empty one means everything; nothing, where they have nothing in common.
std::optional<Names> common(const Names& old, const Names& newer) {
  if (old.empty() || newer.empty()) return old.empty() ? newer : old;
  Names both;
  for (const std::string& one : old) {
    if (std::find(newer.begin(), newer.end(), one) != newer.end()) both.push_back(one);
  }
  return both.empty() ? std::nullopt : std::optional(std::move(both));
}

Names common_or_newer(const Names& old, const Names& newer) {
  return common(old, newer).value_or(newer);
}

// 0: no limit.
int tighter(int old, int newer) {
  return old == 0 || newer == 0 ? std::max(old, newer) : std::min(old, newer);
}

std::optional<config::NanoUsd> tighter(const std::optional<config::NanoUsd>& old,
                                       const std::optional<config::NanoUsd>& newer) {
  if (!old || !newer) return old ? old : newer;
  return std::min(*old, *newer);
}

Key less_of(Key key, const Key& newer) {
  key.secret = newer.secret;
  key.secret_source = newer.secret_source;
  key.local_only |= newer.local_only;
  key.classes = common_or_newer(key.classes, newer.classes);
  key.models = common_or_newer(key.models, newer.models);
  key.scopes = common_or_newer(key.scopes, newer.scopes);
  auto places = common(key.residency, newer.residency);
  key.local_only |= !places;  // Both let its data go nowhere.
  if (places) key.residency = std::move(*places);
  config::Limits& limits = key.limits;
  limits.requests_per_minute =
      tighter(limits.requests_per_minute, newer.limits.requests_per_minute);
  limits.tokens_per_minute = tighter(limits.tokens_per_minute, newer.limits.tokens_per_minute);
  limits.concurrency = tighter(limits.concurrency, newer.limits.concurrency);
  key.budget.day = tighter(key.budget.day, newer.budget.day);
  key.budget.month = tighter(key.budget.month, newer.budget.month);
  key.budget.hard |= newer.budget.hard;
  return key;
}

}  // namespace

std::shared_ptr<const config::Settings> with_less(const config::Settings& in_force,
                                                  const std::vector<Key>& keys) {
  if (in_force.keys.empty() || keys.empty()) return nullptr;
  auto less = std::make_shared<config::Settings>(in_force);
  less->keys.clear();
  for (const Key& old : in_force.keys) {
    const Key* const newer = config::named(keys, old.name);
    if (newer != nullptr) less->keys.push_back(less_of(old, *newer));
  }
  // Where none is left the gateway stays closed: nobody has an empty secret.
  if (less->keys.empty()) less->keys.push_back({.name = in_force.keys.front().name});
  return less->keys == in_force.keys ? nullptr : less;
}

}  // namespace spillway
