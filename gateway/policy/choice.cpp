#include "gateway/policy/choice.h"

#include <algorithm>
#include <chrono>

namespace spillway::policy {
namespace {

bool is_within(double seconds, const std::optional<config::Milliseconds>& limit) {
  return !limit || seconds <= std::chrono::duration<double>(*limit).count();
}

const Alternative* judgement_of(const Plan& plan, const Candidate& candidate) {
  return std::find_if(plan.considered.begin(), plan.considered.end(),
                      [&](const Alternative& one) { return one.target == candidate.target; });
}

}  // namespace

Choice choice_of(const Plan& plan) {
  if (plan.wait) return {"held", plan.wait->cloud_cost};
  const Candidate& first = plan.candidates.front();
  return {std::string(first.target), first.expected_cost};
}

Choice choice_of(const Result<Plan>& plan) {
  return plan ? choice_of(*plan) : Choice{"refused", 0};
}

bool is_expected(const Plan& plan, const Candidate& candidate) {
  const auto judged = judgement_of(plan, candidate);
  return judged == plan.considered.end() || judged->verdict == Verdict::fits;
}

bool is_in_time(const Plan& plan, const config::Sla& promise) {
  if (plan.wait) return true;
  const auto judged = judgement_of(plan, plan.candidates.front());
  if (judged == plan.considered.end()) return true;
  const double further_tokens = std::max(1.0, plan.completion_tokens - 1.0);
  return is_within(judged->ttft, promise.ttft) && is_within(judged->finish, promise.deadline) &&
         is_within((judged->finish - judged->ttft) / further_tokens, promise.per_token);
}

config::NanoUsd cheapest_price(const Plan& plan) {
  config::NanoUsd least = 0;
  for (const Alternative& one : plan.considered) {
    if (one.expected_cost > 0 && (least == 0 || one.expected_cost < least))
      least = one.expected_cost;
  }
  return least;
}

}  // namespace spillway::policy
