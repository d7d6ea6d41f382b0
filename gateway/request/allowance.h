// Whether a caller may ask this now: the models of its key, and the limits of key, tenant and
// model.
//
// On the request's coroutine; never waits.
#pragma once

#include "backends/contract/chat.h"
#include "config/settings.h"
#include "gateway/account/account.h"
#include "gateway/account/limiter.h"
#include "gateway/http/response_writer.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/facts.h"

#include <string_view>

namespace spillway {

// Before anything is read: forbidden: not this endpoint; rate_limited: not one request more of the
// key and its tenant. It is counted for good with `admit`. What the arguments point to outlives the
// Pass.
Result<account::Pass> admit_unread(account::Limiter& limiter, account::Pool pool,
                                   const config::Settings& settings, const policy::Caller& caller,
                                   std::string_view endpoint, http::ResponseWriter& out);

// Once it is known what is asked: forbidden: not this model; rate_limited: not now. The limits are
// told in x-ratelimit-* headers either way.
Result<void> admit(account::Pass& pass, account::Limiter& limiter, account::Pool pool,
                   const config::Settings& settings, const policy::Caller& caller,
                   const ChatRequest& request, const policy::RequestFacts& facts,
                   http::ResponseWriter& out);

// The same for what is asked later, which counts for no limit: forbidden.
Result<void> may_ask(const policy::Caller& caller, std::string_view endpoint,
                     const ChatRequest& request, const policy::RequestFacts& facts);

// Both for what asks no model: a request of the key and of its tenant.
Result<account::Pass> admit_errand(account::Limiter& limiter, const config::Settings& settings,
                                   const policy::Caller& caller, http::ResponseWriter& out);

// Nothing may cost money now, for it could not be booked, and the operator wants it done here.
bool stays_here(const account::Account* account, const config::Settings& settings);

}  // namespace spillway
