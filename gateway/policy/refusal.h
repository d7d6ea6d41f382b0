// The errors of a request that no target can take: what is in the way, and when trying again can
// help. Pure.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"

#include <string_view>

namespace spillway::policy {

// `plan.considered` holds every target with its verdict; none of them can take it. context_too_long
// or invalid_request if only the request can be changed; overloaded if somebody is merely full,
// else no_route, both with the earliest moment at which one of them may have room. no_route without
// such a moment: it is the policy that leaves nobody.
Error refusal_of(const config::Settings& settings, const Plan& plan, const RequestFacts& request,
                 const FleetFacts& fleet);

// No waiting of a client's helps against it.
bool is_final(Verdict verdict);

// The word for a refusal, as its client reads it in `code`; else that of its kind.
std::string_view word_of(const Error& refusal);

// forbidden: the request may not leave this machine, and the model is not here.
Error refuse_to_leave(std::string_view model);

}  // namespace spillway::policy
