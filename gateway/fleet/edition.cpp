#include "gateway/fleet/edition.h"

#include "gateway/policy/canary.h"

#include <algorithm>
#include <utility>

namespace spillway {

bool Edition::may_be_local(std::string_view model) const {
  const auto named = [model](const auto& entry) { return entry.name == model; };
  const auto& aliases = settings->policy.aliases;
  if (std::any_of(aliases.begin(), aliases.end(), named)) return true;
  return std::any_of(settings->local.begin(), settings->local.end(),
                     [&named](const config::LocalTarget& target) {
                       return std::any_of(target.serves.begin(), target.serves.end(), named);
                     });
}

double place_of(const config::Key& key) { return policy::place_of(key.tenant + '/' + key.name); }

CurrentEdition::Editions CurrentEdition::now() const {
  std::lock_guard lock(mutex_);
  return editions_;
}

std::shared_ptr<const Edition> CurrentEdition::get() const {
  std::lock_guard lock(mutex_);
  return editions_.in_force;
}

void CurrentEdition::set(std::shared_ptr<const Edition> edition) {
  Editions next{std::move(edition), nullptr};
  std::lock_guard lock(mutex_);
  std::swap(editions_, next);
}

void CurrentEdition::exchange(std::shared_ptr<const Edition> in_force,
                              std::shared_ptr<const Edition> canary) {
  std::lock_guard lock(mutex_);
  if (in_force) editions_.in_force.swap(in_force);
  if (canary && editions_.canary) editions_.canary.swap(canary);
}

void CurrentEdition::try_out(std::shared_ptr<const Edition> edition, double share,
                             std::uint64_t number) {
  std::lock_guard lock(mutex_);
  editions_.canary.swap(edition);
  editions_.share = share;
  editions_.number = number;
}

void CurrentEdition::end_trial() {
  std::shared_ptr<const Edition> none;
  std::lock_guard lock(mutex_);
  editions_.canary.swap(none);
}

void CurrentEdition::watch(std::shared_ptr<const Edition> before) {
  std::lock_guard lock(mutex_);
  before_.swap(before);
  watched_ = before_ != nullptr;
}

std::shared_ptr<const Edition> CurrentEdition::before() const {
  if (!watched_.load(std::memory_order_relaxed)) return nullptr;
  std::lock_guard lock(mutex_);
  return before_;
}

Entry CurrentEdition::enter(std::string_view bearer, std::string_view request_id) const {
  return seat([&](const Edition& edition) { return edition.keys.identify(bearer); }, request_id);
}

Entry CurrentEdition::enter_as(std::string_view key_name, std::string_view tenant,
                               std::string_view request_id) const {
  return seat([&](const Edition& edition) { return edition.keys.named(key_name, tenant); },
              request_id);
}

template <class Know>
Entry CurrentEdition::seat(const Know& know, std::string_view request_id) const {
  const Editions of = now();
  if (!of.canary) return {of.in_force, know(*of.in_force)};
  auto caller = know(*of.canary);
  if (!caller) return {of.in_force, std::move(caller)};
  const double place = caller->key ? place_of(*caller->key) : policy::place_of(request_id);
  auto in_force = of.in_force->keys.named(caller->name(), caller->tenant());
  if (in_force && place >= of.share) return {of.in_force, std::move(in_force)};
  return {of.canary, std::move(caller), of.number};
}

}  // namespace spillway
