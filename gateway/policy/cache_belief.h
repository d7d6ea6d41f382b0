// How far a provider's prefix cache is believed in: of the tokens that it was expected to have
// there, those that it billed as cached. Pure state: time is passed in. Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"

namespace spillway::policy {

class CacheBelief {
 public:
  // A share: one half while nothing is known, and again some time after the last news.
  double share(TimePoint now) const;

  // An answer came of a prompt of which so many tokens were expected to be cached.
  void billed(double expected, double cached, TimePoint now);

 private:
  double left_of(double tokens, TimePoint now) const;

  double expected_ = 0.0;  // Faded: what was seen half an hour ago counts half.
  double cached_ = 0.0;
  TimePoint at_{};
};

}  // namespace spillway::policy
