// What a class has spent of late, and how much of that for answers that nobody got because another
// target was quicker: what limits hedges. Pure state: time is passed in. Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"

namespace spillway::policy {

class HedgeBudget {
 public:
  // Whether another hedge, of which up to `most` may be for nothing, keeps that within `share` of
  // all that is spent. If so it counts as spent until it is `over`.
  bool begin(config::NanoUsd most, double share, TimePoint now);
  void over(config::NanoUsd most);

  // A request has ended that cost `all`; of this, `twice` was for what nobody got. A request and a
  // hedge are a nano-USD dearer than they are, so that hedges between targets that cost nothing are
  // limited by their number.
  void spent(config::NanoUsd all, config::NanoUsd twice, bool hedged, TimePoint now);

 private:
  void fade(TimePoint now);

  double all_ = 0.0;  // Nano-USD, faded: what was spent five minutes ago counts half.
  double twice_ = 0.0;
  double pending_ = 0.0;
  TimePoint at_{};
};

}  // namespace spillway::policy
