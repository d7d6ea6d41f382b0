// What a class's promises and spend have come to of late, and the terms that follow from it: the
// share of the promised time that the local engine's prediction may use up, and what may be paid
// for a promise that it cannot keep. Pure state: time is passed in. Not thread-safe.
//
// Headroom: only the answers nearest to the limit tell whether the limit is right, so it moves with
// these alone, as far up for one that is kept as they may be late and as far down for one that is
// late as they may not (a stochastic approximation of that quantile; Robbins and Monro, 1951). They
// may be late as often as those that providers were expected to keep: then it makes no difference
// who is asked.
//
// Price: the multiplier of a budget's constraint, raised by what is spent and lowered by what is
// granted meanwhile (adaptive pacing; Balseiro and Gur, 2019). So the promises that are kept are
// those that cost least.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"

#include <optional>
#include <vector>

namespace spillway::policy {

// What became of a request.
struct Settled {
  bool local = false;            // Its first token came from the local engine.
  std::optional<bool> kept;      // Its first token was in time; empty: it says nothing of that.
  bool was_expected = false;     // Its provider was expected to be in time.
  double predicted_share = 0.0;  // Of the promised time, by the engine it waited for; 0: by none.
  config::NanoUsd cost = 0;      // Of what the policy had leave.
};

class Feedback {
 public:
  // A class begins with what its settings say.
  explicit Feedback(const config::RequestClass& request_class);

  void settle(const Settled& request, TimePoint now);

  double headroom() const { return headroom_; }

  // A share of promise_price_max.
  double promise_price(TimePoint now) const;

 private:
  // With exponential decay.
  struct Share {
    double of = 0.0;
    double all = 0.0;
    void fade(double left);
    void add(bool counts);
  };

  void pass_to(TimePoint now);
  void learn(const Settled& request);

  config::Feedback terms_;
  double headroom_;
  Share kept_;              // Of all promises.
  Share late_elsewhere_;    // Of those that a provider was expected to keep.
  double overspent_ = 0.0;  // In seconds of what is granted; below 0: put by.
  TimePoint at_{};
};

// The class's terms: those it has come to, within what its settings grant (the facts may be of
// another policy's time), or without feedback its own.
ClassTerms terms_of(const config::RequestClass& request_class,
                    const std::vector<ClassTerms>& come_to);

}  // namespace spillway::policy
