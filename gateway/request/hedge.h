// When a candidate has been silent for too long, and who is then asked beside it: at most once for
// a request, and only while that costs the class no more than its policy grants.
//
// Pure but for the fleet's and the tab's state; of the request's coroutine.
#pragma once

#include "gateway/fleet/edition.h"
#include "gateway/fleet/fleet.h"
#include "gateway/policy/plan.h"
#include "gateway/request/dispatch.h"
#include "gateway/request/receipt.h"
#include "gateway/request/tab.h"

#include <cstddef>
#include <optional>

namespace spillway {

class Hedge {
 public:
  // All that is referred to must outlive it.
  Hedge(const policy::Plan& plan, const Edition& edition, Fleet& fleet, Tab& tab, Receipt& receipt)
      : plan_(plan), edition_(edition), fleet_(fleet), tab_(tab), receipt_(receipt) {}

  // The moment from which `first`, asked now, is late; empty: nobody will be asked beside it.
  std::optional<TimePoint> late(const Approach& first) const;

  // The place in the plan, from `at` on, of who is asked beside `first`, which is late. What both
  // may cost is held. Empty: nobody, for want of somebody, or of money.
  std::optional<std::size_t> second(const Approach& first, std::size_t at);

 private:
  bool may_be_beside(const policy::Candidate& candidate, const Approach& first) const;
  bool is_affordable(const policy::Candidate& second, const Approach& first);

  const policy::Plan& plan_;
  const Edition& edition_;
  Fleet& fleet_;
  Tab& tab_;
  Receipt& receipt_;
  std::optional<HedgePass> pass_;  // Until what it cost has been booked.
  bool done_ = false;              // Once is enough.
};

}  // namespace spillway
