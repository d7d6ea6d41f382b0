#include "gateway/request/settled.h"

#include "gateway/telemetry/derived.h"

#include <algorithm>

namespace spillway {

// What its client asked for in less time than its class promises says nothing of the class, and
// what it buys by a name that only providers serve was spent by nobody but itself.
policy::Settled settled_of(const Receipt& receipt) {
  policy::Settled settled{.local = receipt.served_locally};
  for (const Part& part : receipt.parts)
    settled.cost += receipt.could_stay && !part.here ? part.cost_nano_usd : 0;
  settled.was_expected =
      std::any_of(receipt.considered.begin(), receipt.considered.end(),
                  [&](const auto& one) { return one.target == receipt.target && one.fits; });
  if (!receipt.has_own_limits) settled.kept = telemetry::first_token_kept(receipt);
  if (settled.kept && receipt.predicted)
    settled.predicted_share = receipt.predicted->ttft / *receipt.sla_ttft;
  return settled;
}

}  // namespace spillway
