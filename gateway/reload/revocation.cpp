#include "gateway/reload/revocation.h"

#include <algorithm>
#include <string>

namespace spillway {
namespace {

using config::Key;

// Of lists where an empty one means everything. What has nothing in common is as the newer says.
std::vector<std::string> common(const std::vector<std::string>& old,
                                const std::vector<std::string>& newer) {
  if (old.empty() || newer.empty()) return old.empty() ? newer : old;
  std::vector<std::string> both;
  for (const std::string& one : old) {
    if (std::find(newer.begin(), newer.end(), one) != newer.end()) both.push_back(one);
  }
  return both.empty() ? newer : both;
}

bool share_nothing(const std::vector<std::string>& old, const std::vector<std::string>& newer) {
  return !old.empty() && !newer.empty() &&
         std::none_of(old.begin(), old.end(), [&](const std::string& one) {
           return std::find(newer.begin(), newer.end(), one) != newer.end();
         });
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
  key.classes = common(key.classes, newer.classes);
  key.models = common(key.models, newer.models);
  key.scopes = common(key.scopes, newer.scopes);
  if (share_nothing(key.residency, newer.residency))
    key.local_only = true;  // Nowhere, for both.
  else
    key.residency = common(key.residency, newer.residency);
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
    const auto newer = std::find_if(keys.begin(), keys.end(),
                                    [&](const Key& one) { return one.name == old.name; });
    if (newer != keys.end()) less->keys.push_back(less_of(old, *newer));
  }
  // Where none is left the gateway stays closed: nobody has an empty secret.
  if (less->keys.empty()) less->keys.push_back({.name = in_force.keys.front().name});
  return less->keys == in_force.keys ? nullptr : less;
}

}  // namespace spillway
