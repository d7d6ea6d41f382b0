#include "gateway/fleet.h"

#include <utility>

namespace spillway {

FleetVisit::FleetVisit(FleetVisit&& other) noexcept
    : fleet_(other.fleet_), health_(std::move(other.health_)), visit_(other.visit_) {}

FleetVisit& FleetVisit::operator=(FleetVisit&& other) noexcept {
  std::swap(fleet_, other.fleet_);
  std::swap(health_, other.health_);
  std::swap(visit_, other.visit_);
  return *this;
}

FleetVisit::~FleetVisit() {
  if (!health_) return;
  std::lock_guard lock(fleet_->mutex_);
  health_->leave(visit_);
}

void FleetVisit::answered(bool streamed) {
  std::lock_guard lock(fleet_->mutex_);
  health_->answered(visit_, SteadyClock::now(), streamed);
}

void FleetVisit::finished(int completion_tokens) {
  std::lock_guard lock(fleet_->mutex_);
  health_->finished(visit_, completion_tokens, SteadyClock::now());
}

void FleetVisit::failed(const Error& error) {
  std::lock_guard lock(fleet_->mutex_);
  health_->failed(visit_, error, SteadyClock::now());
}

void Fleet::adopt(const config::Settings& settings) {
  std::lock_guard lock(mutex_);
  std::map<std::string, Provider, std::less<>> adopted;
  for (const config::ProviderTarget& target : settings.providers) {
    const auto known = providers_.find(target.name);
    if (known != providers_.end() && known->second.settings == target) {
      adopted.insert(*known);
    } else {
      auto health = std::make_shared<policy::Health>(target, SteadyClock::now());
      adopted.emplace(target.name, Provider{target, std::move(health)});
    }
  }
  providers_ = std::move(adopted);
}

policy::FleetFacts Fleet::facts(const EngineStatus* engine) const {
  policy::FleetFacts facts;
  facts.now = SteadyClock::now();
  facts.local = engine;
  std::lock_guard lock(mutex_);
  facts.ttft_correction = correction_.factor(facts.now);
  facts.completion_tokens_typical = length_.typical();
  facts.providers.reserve(providers_.size());
  for (const auto& [name, provider] : providers_)
    facts.providers.push_back(provider.health->facts(facts.now));
  return facts;
}

std::optional<FleetVisit> Fleet::visit(std::string_view name) {
  std::lock_guard lock(mutex_);
  const auto provider = providers_.find(name);
  if (provider == providers_.end()) return std::nullopt;
  auto visit = provider->second.health->enter(SteadyClock::now());
  if (!visit) return std::nullopt;
  return FleetVisit(*this, provider->second.health, *visit);
}

void Fleet::local_first_token(double predicted, double model, double seconds) {
  std::lock_guard lock(mutex_);
  correction_.observe(predicted, model, seconds, SteadyClock::now());
}

void Fleet::completed(int completion_tokens) {
  std::lock_guard lock(mutex_);
  length_.observe(completion_tokens);
}

std::vector<ProviderGauges> Fleet::gauges() const {
  const TimePoint now = SteadyClock::now();
  std::lock_guard lock(mutex_);
  std::vector<ProviderGauges> gauges;
  for (const auto& [name, provider] : providers_) {
    gauges.push_back(ProviderGauges{provider.health->facts(now), provider.health->times_opened()});
  }
  return gauges;
}

double Fleet::prediction_error(double quantile) const {
  std::lock_guard lock(mutex_);
  return correction_.relative_error(quantile);
}

}  // namespace spillway
