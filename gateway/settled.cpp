#include "gateway/settled.h"

#include "gateway/telemetry/derived.h"

#include <algorithm>

namespace spillway {

// What its client asked for in less time than its class promises says nothing of the class.
policy::Settled settled_of(const Receipt& receipt) {
  policy::Settled settled{.local = receipt.served_locally};
  for (const Part& part : receipt.parts) settled.cost += part.here ? 0 : part.cost_nano_usd;
  settled.was_expected =
      std::any_of(receipt.considered.begin(), receipt.considered.end(),
                  [&](const auto& one) { return one.target == receipt.target && one.fits; });
  if (!receipt.has_own_limits) settled.kept = telemetry::first_token_kept(receipt);
  if (settled.kept && receipt.predicted)
    settled.predicted_share = receipt.predicted->ttft / *receipt.sla_ttft;
  return settled;
}

}  // namespace spillway
