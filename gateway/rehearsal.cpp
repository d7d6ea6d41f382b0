#include "gateway/rehearsal.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway {
namespace {

constexpr std::chrono::milliseconds kGap{10};

std::string goes_to(const Result<policy::Plan>& plan) {
  if (!plan) return "";
  return plan->wait ? "held" : std::string(plan->candidates.front().target);
}

config::NanoUsd cost_of(const Result<policy::Plan>& plan) {
  if (!plan) return 0;
  return plan->wait ? plan->wait->cloud_cost : plan->candidates.front().expected_cost;
}

// "model `auto`, class `batch`: … (rule `thrift`, line 12)"
std::string describe(const policy::RequestFacts& request, const policy::Plan& before,
                     const Error& why, const config::Settings& settings) {
  std::string text = "model `" + std::string(request.model) + "`, class `" +
                     before.request_class->name + "`: " + why.message;
  for (const config::Rule& rule : settings.policy.rules) {
    if (rule.name != why.rule) continue;
    text += " (rule `" + rule.name + "`, line " + std::to_string(rule.at.line) + ")";
  }
  return text;
}

}  // namespace

Rehearsal::Recorded::Recorded(const policy::RequestFacts& asked, const policy::FleetFacts& state,
                              policy::Turn whose)
    : request(asked),
      model(asked.model),
      service_tier(asked.service_tier),
      endpoint(asked.endpoint),
      class_header(asked.class_header),
      label(asked.label),
      beyond(asked.beyond.begin(), asked.beyond.end()),
      fleet(state),
      turn(whose) {
  if (asked.key) key = *asked.key;
  if (key) key->secret.clear();
  if (state.local) engine = *state.local;
}

policy::RequestFacts Rehearsal::Recorded::request_for(const config::Settings& settings) const {
  policy::RequestFacts facts = request;
  facts.model = model;
  facts.service_tier = service_tier;
  facts.endpoint = endpoint;
  facts.class_header = class_header;
  facts.label = label;
  facts.beyond = beyond;
  facts.key = key ? &*key : nullptr;
  for (const config::Key& one : settings.keys) {
    if (key && one.name == key->name) facts.key = &one;
  }
  return facts;
}

policy::FleetFacts Rehearsal::Recorded::fleet_now() const {
  policy::FleetFacts facts = fleet;
  facts.local = engine ? &*engine : nullptr;
  return facts;
}

void Rehearsal::record(const policy::RequestFacts& request, const policy::FleetFacts& fleet,
                       policy::Turn turn) {
  {
    std::lock_guard lock(mutex_);
    if (fleet.now - last_ < kGap) return;
    last_ = fleet.now;
  }
  auto recorded = std::make_shared<const Recorded>(request, fleet, turn);
  std::lock_guard lock(mutex_);
  if (ring_.size() < kept_) {
    ring_.push_back(std::move(recorded));
  } else {
    ring_[recorded_ % kept_] = std::move(recorded);
  }
  ++recorded_;
}

Rehearsed Rehearsal::run(const policy::Router& before, const policy::Router& after) const {
  std::unique_lock lock(mutex_);
  const auto all = ring_;
  lock.unlock();
  Rehearsed sum;
  sum.decisions = all.size();
  for (const auto& one : all) {
    const policy::FleetFacts fleet = one->fleet_now();
    const auto was = before.plan(one->request_for(*before.settings()), fleet, one->turn);
    const policy::RequestFacts request = one->request_for(*after.settings());
    const auto is = after.plan(request, fleet, one->turn);
    if (goes_to(was) != goes_to(is)) ++sum.moved;
    if (was && is) {
      sum.cost_before += cost_of(was);
      sum.cost_after += cost_of(is);
    }
    if (!was || is) continue;
    if (sum.stranded++ == 0) sum.example = describe(request, *was, is.error(), *after.settings());
  }
  return sum;
}

}  // namespace spillway
