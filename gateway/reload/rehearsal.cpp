#include "gateway/reload/rehearsal.h"

#include "gateway/policy/choice.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway {
namespace {

constexpr std::chrono::milliseconds kGap{10};

// "model `auto`, class `batch`: … (rule `thrift`, line 12)"
std::string describe(const Recorded& recorded, const policy::Plan& before, const Error& why,
                     const config::Settings& settings) {
  std::string text = "model `" + recorded.model() + "`, class `" + before.request_class->name +
                     "`: " + why.message;
  for (const config::Rule& rule : settings.policy.rules) {
    if (rule.name != why.rule) continue;
    text += " (rule `" + rule.name + "`, line " + std::to_string(rule.at.line) + ")";
  }
  return text;
}

// Both by the promises in force: nobody looks better for promising less.
void compare(const policy::Plan& before, const policy::Plan& after, Rehearsed& sum) {
  ++sum.sent;
  sum.cost_before += policy::choice_of(before).cost;
  sum.cost_after += policy::choice_of(after).cost;
  sum.cost_cheapest += policy::cheapest_price(before);
  sum.in_time_before += policy::is_in_time(before, before.sla) ? 1 : 0;
  sum.in_time_after += policy::is_in_time(after, before.sla) ? 1 : 0;
}

void note_move(const Result<policy::Plan>& was, const Result<policy::Plan>& is, Moves& moves) {
  const policy::Choice before = policy::choice_of(was), after = policy::choice_of(is);
  if (before.target == after.target) return;
  const std::string& name = was ? was->request_class->name : is->request_class->name;
  moves.add(name, before.target, after.target, was && is ? after.cost - before.cost : 0);
}

}  // namespace

void Rehearsal::record(const policy::RequestFacts& request,
                       const std::shared_ptr<const Moment>& moment, policy::Turn turn) {
  {
    std::lock_guard lock(mutex_);
    if (moment->fleet.now - last_ < kGap) return;
    last_ = moment->fleet.now;
  }
  auto recorded = std::make_shared<const Recorded>(request, moment, turn);
  std::lock_guard lock(mutex_);
  if (ring_.size() < kept_) {
    ring_.push_back(std::move(recorded));
  } else {
    ring_[recorded_ % kept_] = std::move(recorded);
  }
  ++recorded_;
}

std::vector<std::shared_ptr<const Recorded>> Rehearsal::newest_first() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Recorded>> all(ring_.rbegin(), ring_.rend());
  if (ring_.size() == kept_)
    std::rotate(all.begin(), all.end() - static_cast<std::ptrdiff_t>(recorded_ % kept_), all.end());
  return all;
}

Rehearsed rehearse(const std::vector<std::shared_ptr<const Recorded>>& newest_first,
                   const policy::Router& before, const policy::Router& after,
                   std::chrono::milliseconds time_max) {
  const TimePoint end = SteadyClock::now() + time_max;
  Rehearsed sum;
  Moves moves;
  for (const auto& one : newest_first) {
    if (SteadyClock::now() >= end) break;
    const auto was = one->plan_by(before);
    const auto is = one->plan_by(after);
    ++sum.decisions;
    const bool shut_out =
        one->has_key_of(*before.settings()) && !one->has_key_of(*after.settings());
    sum.unauthenticated += shut_out ? 1 : 0;
    if (was && is) compare(*was, *is, sum);
    note_move(was, is, moves);
    if (!was || is) continue;
    if (sum.stranded++ == 0) sum.example = describe(*one, *was, is.error(), *after.settings());
  }
  sum.moves = moves.list();
  for (const Move& move : sum.moves) sum.moved += move.requests;
  return sum;
}

}  // namespace spillway
