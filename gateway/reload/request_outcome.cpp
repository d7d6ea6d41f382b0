#include "gateway/reload/request_outcome.h"

#include "gateway/telemetry/derived.h"

namespace spillway {

using policy::Outcome;

bool is_no_evidence(const Receipt& receipt) {
  const bool refused = receipt.error && !telemetry::is_our_failure(receipt.error->code);
  return refused || receipt.has_own_limits;
}

Outcome outcome_of(const Receipt& receipt, const std::optional<double>& ttft,
                   const std::optional<double>& per_token) {
  if (receipt.error) return Outcome::failed;
  const auto first_in_time = telemetry::first_token_kept(receipt, ttft);
  const auto others_in_time = telemetry::per_token_kept(receipt, per_token);
  if (!first_in_time && !others_in_time) return Outcome::unpromised;
  return first_in_time.value_or(true) && others_in_time.value_or(true) ? Outcome::attained
                                                                       : Outcome::missed;
}

PolicySide told(const policy::CanaryJudge::Counts& counts) {
  const auto of = [&](Outcome outcome) { return counts[static_cast<std::size_t>(outcome)]; };
  return {of(Outcome::attained), of(Outcome::missed), of(Outcome::failed), of(Outcome::unpromised)};
}

}  // namespace spillway
