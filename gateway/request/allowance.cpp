#include "gateway/request/allowance.h"

#include "gateway/policy/price.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace spillway {
namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// As OpenAI writes it: "12ms", "1s", "6m0s".
std::string duration(nanoseconds time) {
  if (time < seconds(1)) return std::to_string(ceil<milliseconds>(time).count()) + "ms";
  const auto whole = ceil<seconds>(time).count();
  if (whole < 60) return std::to_string(whole) + "s";
  return std::to_string(whole / 60) + "m" + std::to_string(whole % 60) + "s";
}

void tell(const std::optional<account::Standing::Line>& line, const std::string& what,
          http::ResponseWriter& out) {
  if (!line) return;
  out.set_header("x-ratelimit-limit-" + what, std::to_string(line->limit));
  out.set_header("x-ratelimit-remaining-" + what, std::to_string(line->remaining));
  out.set_header("x-ratelimit-reset-" + what, duration(line->reset));
}

template <class Named>
const config::Limits* limits_of(const std::vector<Named>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [name](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &found->limits;
}

// What all choices may come to; as budgets reckon where the client sets no limit. It is corrected
// when the answer has ended.
int answer_tokens(const policy::RequestFacts& facts) {
  return policy::tokens_of_all(facts.completion_tokens_max, facts.choices)
      .value_or(policy::kCompletionTokensAssumed);
}

account::Subjects subjects_of(const config::Settings& settings, const policy::Caller& caller,
                              account::Subject model) {
  return {{
      {caller.name(), caller.key ? &caller.key->limits : nullptr},
      {caller.tenant(), limits_of(settings.tenants, caller.tenant())},
      model,
  }};
}

void tell(const account::Standing& standing, http::ResponseWriter& out) {
  tell(standing.requests, "requests", out);
  tell(standing.tokens, "tokens", out);
}

Result<void> check_models(const policy::Caller& caller, const ChatRequest& request,
                          const policy::RequestFacts& facts) {
  auto allowed = policy::check_model(caller, facts.model);
  for (const std::string& other : request.other_models) {
    if (allowed) allowed = policy::check_model(caller, other);
  }
  return allowed;
}

}  // namespace

Result<account::Pass> admit_unread(account::Limiter& limiter, account::Pool pool,
                                   const config::Settings& settings, const policy::Caller& caller,
                                   std::string_view endpoint, http::ResponseWriter& out) {
  const auto allowed = policy::check_scope(caller, endpoint);
  if (!allowed) return allowed.error();
  account::Standing standing;
  auto pass = limiter.begin(pool, subjects_of(settings, caller, {}), SteadyClock::now(), standing);
  if (!pass) tell(standing, out);
  return pass;
}

Result<void> admit(account::Pass& pass, account::Limiter& limiter, account::Pool pool,
                   const config::Settings& settings, const policy::Caller& caller,
                   const ChatRequest& request, const policy::RequestFacts& facts,
                   http::ResponseWriter& out) {
  const auto allowed = check_models(caller, request, facts);
  if (!allowed) return allowed.error();
  const account::Subject model{facts.model, limits_of(settings.model_limits, facts.model)};
  const std::int64_t tokens = std::int64_t{facts.prompt_tokens} + answer_tokens(facts);
  account::Standing standing;
  auto admitted = limiter.complete(pass, pool, subjects_of(settings, caller, model), tokens,
                                   SteadyClock::now(), standing);
  tell(standing, out);
  return admitted;
}

Result<void> may_ask(const policy::Caller& caller, std::string_view endpoint,
                     const ChatRequest& request, const policy::RequestFacts& facts) {
  const auto allowed = policy::check_scope(caller, endpoint);
  return allowed ? check_models(caller, request, facts) : allowed;
}

Result<account::Pass> admit_errand(account::Limiter& limiter, const config::Settings& settings,
                                   const policy::Caller& caller, http::ResponseWriter& out) {
  account::Standing standing;
  auto pass = limiter.enter(account::Pool::waited_for, subjects_of(settings, caller, {}), 0,
                            SteadyClock::now(), standing);
  tell(standing, out);
  return pass;
}

bool stays_here(const account::Account* account, const config::Settings& settings) {
  return account && !account->writable() && settings.ledger.on_failure == "local_only";
}

}  // namespace spillway
