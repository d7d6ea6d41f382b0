#include "gateway/fleet/fleet.h"

#include <ctime>
#include <utility>

namespace spillway {
namespace {

policy::WallClock wall_clock() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return {(local.tm_wday + 6) % 7,  // Theirs begins on Sunday.
          3'600.0 * local.tm_hour + 60.0 * local.tm_min + local.tm_sec};
}

}  // namespace

FleetVisit::FleetVisit(FleetVisit&& other) noexcept
    : fleet_(other.fleet_), servers_(std::move(other.servers_)), visit_(other.visit_) {}

FleetVisit& FleetVisit::operator=(FleetVisit&& other) noexcept {
  std::swap(fleet_, other.fleet_);
  std::swap(servers_, other.servers_);
  std::swap(visit_, other.visit_);
  return *this;
}

FleetVisit::~FleetVisit() {
  if (!servers_) return;
  std::lock_guard lock(fleet_->mutex_);
  servers_->leave(visit_);
}

void FleetVisit::answered(const RateLeft& left) {
  std::lock_guard lock(fleet_->mutex_);
  servers_->told(visit_, left);
  servers_->answered(visit_, SteadyClock::now());
}

void FleetVisit::finished(int completion_tokens) {
  std::lock_guard lock(fleet_->mutex_);
  servers_->finished(visit_, completion_tokens, SteadyClock::now());
}

void FleetVisit::wrote(std::size_t bytes, int tokens) {
  std::lock_guard lock(fleet_->mutex_);
  servers_->wrote(bytes, tokens);
}

void FleetVisit::billed(int prompt_tokens, int cached_tokens) {
  std::lock_guard lock(fleet_->mutex_);
  servers_->billed(visit_, prompt_tokens, cached_tokens, SteadyClock::now());
}

double FleetVisit::bytes_per_token() const {
  std::lock_guard lock(fleet_->mutex_);
  return servers_->bytes_per_token();
}

bool FleetVisit::failed(const Error& error) {
  std::lock_guard lock(fleet_->mutex_);
  if (fleet_->stopped_) return false;
  const int times_opened = servers_->times_opened();
  servers_->failed(visit_, error, SteadyClock::now());
  return servers_->times_opened() > times_opened;
}

void Fleet::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
}

HedgePass::HedgePass(HedgePass&& other) noexcept
    : fleet_(std::exchange(other.fleet_, nullptr)),
      class_(std::move(other.class_)),
      most_(other.most_) {}

HedgePass& HedgePass::operator=(HedgePass&& other) noexcept {
  std::swap(fleet_, other.fleet_);
  std::swap(class_, other.class_);
  std::swap(most_, other.most_);
  return *this;
}

HedgePass::~HedgePass() {
  if (!fleet_) return;
  std::lock_guard lock(fleet_->mutex_);
  fleet_->state_.hedges_of(class_).over(most_);
}

void Fleet::adopt(const config::Settings& settings) {
  std::lock_guard lock(mutex_);
  state_.adopt(settings, SteadyClock::now());
}

policy::FleetFacts Fleet::facts(const EngineStatus* engine,
                                const policy::PromptMarks* prompt) const {
  const policy::WallClock clock = wall_clock();
  std::lock_guard lock(mutex_);
  policy::FleetFacts facts = state_.facts(engine, SteadyClock::now(), prompt);
  facts.clock = clock;
  return facts;
}

FleetEntry Fleet::visit(std::string_view name, const policy::Call& call) {
  std::lock_guard lock(mutex_);
  policy::Entered entered = state_.enter(name, call, SteadyClock::now());
  FleetEntry entry{std::nullopt, entered.retries_used_up};
  if (entered.visit) entry.visit = FleetVisit(*this, std::move(entered.servers), *entered.visit);
  return entry;
}

void Fleet::local_first_token(const policy::Prediction& predicted, const StepModel& step,
                              double seconds) {
  std::lock_guard lock(mutex_);
  state_.local_first_token(predicted, step, seconds, SteadyClock::now());
}

void Fleet::completed(const policy::Answered& answer) {
  std::lock_guard lock(mutex_);
  state_.completed(answer);
}

void Fleet::decided(const policy::Plan& plan, const policy::RequestFacts& request) {
  if (plan.request_class->ttft_hysteresis <= 0.0) return;
  std::lock_guard lock(mutex_);
  state_.decided(plan, request);
}

std::optional<HedgePass> Fleet::hedge(const config::RequestClass& request_class,
                                      config::NanoUsd most) {
  std::lock_guard lock(mutex_);
  const double share = request_class.hedge.spend_share_max;
  auto& hedges = state_.hedges_of(request_class.name);
  if (!hedges.begin(most, share, SteadyClock::now())) return std::nullopt;
  return HedgePass(*this, request_class.name, most);
}

void Fleet::spent(std::string_view request_class, config::NanoUsd all, config::NanoUsd twice,
                  bool hedged) {
  std::lock_guard lock(mutex_);
  state_.hedges_of(request_class).spent(all, twice, hedged, SteadyClock::now());
}

void Fleet::settled(std::string_view request_class, const policy::Settled& request) {
  std::lock_guard lock(mutex_);
  state_.settled(request_class, request, SteadyClock::now());
}

std::vector<policy::ClassTerms> Fleet::class_terms() const {
  std::lock_guard lock(mutex_);
  return state_.class_terms(SteadyClock::now());
}

std::vector<ProviderGauges> Fleet::gauges() const {
  const TimePoint now = SteadyClock::now();
  std::vector<ProviderGauges> gauges;
  std::lock_guard lock(mutex_);
  state_.each_provider([&](const policy::Servers& servers) {
    gauges.push_back({servers.facts(now), servers.times_opened(), servers.gauges(now)});
  });
  return gauges;
}

double Fleet::prediction_error(double quantile) const {
  std::lock_guard lock(mutex_);
  return state_.prediction_error(quantile);
}

}  // namespace spillway
