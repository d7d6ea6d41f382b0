#include "gateway/policy/feedback.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr double kHour = 3'600.0;
// Chosen on two traces, azure1h and the servegen day, as those of held_work.cpp.
constexpr double kHalfLife = 300.0;  // Seconds, of what is remembered.
constexpr double kNear = 0.9;        // From this share of the headroom on an answer is near to it.
constexpr double kGain = 0.01;       // What a late one of these takes off.
constexpr double kPrior = 50.0;      // So many answers are imagined before there are any…
constexpr double kPriorLate = 1.0;   // …of which so many are late.
// So many seconds' worth overspent take the price to 37 %…
constexpr double kPatience = 120.0;
// …and no more than this is made good; nor is more than this put by for a burst.
constexpr double kOverspentMax = 12.0 * kPatience;
constexpr double kPutByMax = 600.0;

}  // namespace

void Feedback::Share::fade(double left) {
  of *= left;
  all *= left;
}

void Feedback::Share::add(bool counts) {
  of += counts ? 1.0 : 0.0;
  all += 1.0;
}

Feedback::Feedback(const config::RequestClass& request_class)
    : terms_(request_class.feedback), headroom_(request_class.ttft_headroom) {}

void Feedback::settle(const Settled& request, TimePoint now) {
  pass_to(now);
  if (request.kept) learn(request);
  const double kept = (kept_.of + kPrior - kPriorLate) / (kept_.all + kPrior);
  if (!terms_.spend_per_hour_max || kept < terms_.attainment_min) return;
  const double granted = std::max(1.0, static_cast<double>(*terms_.spend_per_hour_max));
  overspent_ += static_cast<double>(request.cost) / granted * kHour;
  overspent_ = std::min(overspent_, kOverspentMax);
}

double Feedback::promise_price(TimePoint now) const {
  const double passed = std::max(0.0, seconds_between(at_, now));
  return std::exp(-std::max(0.0, overspent_ - passed) / kPatience);
}

void Feedback::learn(const Settled& request) {
  kept_.add(*request.kept);
  if (!request.local && request.was_expected) late_elsewhere_.add(!*request.kept);
  const bool is_near =
      request.predicted_share >= kNear * headroom_ && request.predicted_share <= headroom_;
  if (!request.local || !is_near) return;
  const double may_be_late = std::max(
      kPriorLate / kPrior, (late_elsewhere_.of + kPriorLate) / (late_elsewhere_.all + kPrior));
  headroom_ += kGain * (may_be_late - (*request.kept ? 0.0 : 1.0));
  headroom_ = std::min(std::max(headroom_, terms_.headroom_min), terms_.headroom_max);
}

void Feedback::pass_to(TimePoint now) {
  const double passed = std::max(0.0, seconds_between(at_, now));
  const double left = std::exp2(-passed / kHalfLife);
  kept_.fade(left);
  late_elsewhere_.fade(left);
  overspent_ = std::max(-kPutByMax, overspent_ - passed);
  at_ = std::max(at_, now);
}

ClassTerms terms_of(const config::RequestClass& request_class,
                    const std::vector<ClassTerms>& come_to) {
  ClassTerms terms{.request_class = {}, .ttft_headroom = request_class.ttft_headroom};
  const config::Feedback& bounds = request_class.feedback;
  if (!bounds.enabled) return terms;
  for (const ClassTerms& one : come_to) {
    if (one.request_class == request_class.name) terms = one;
  }
  terms.ttft_headroom =
      std::min(std::max(terms.ttft_headroom, bounds.headroom_min), bounds.headroom_max);
  if (!bounds.spend_per_hour_max) terms.promise_price = 1.0;
  return terms;
}

}  // namespace spillway::policy
