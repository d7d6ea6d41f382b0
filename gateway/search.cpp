#include "gateway/search.h"

#include <algorithm>

namespace spillway {
namespace {

// A limit of this one target: too short a context, a chat template that refuses the conversation,
// a protocol that has no words for it.
bool is_its_own_limit(const policy::Candidate& candidate, const Error& error) {
  return error.code == Errc::context_too_long || error.code == Errc::unsupported ||
         (candidate.local && error.code == Errc::invalid_request);
}

// It has no such tier: asked for by us, not by the client.
bool lacks_tier(const policy::Candidate& candidate, const Error& error) {
  return candidate.at_batch_rate && error.code == Errc::invalid_request &&
         error.param == "service_tier";
}

bool is_full(const Error& error) {
  return error.code == Errc::rate_limited || error.code == Errc::overloaded;
}

bool is_the_accounts(const Error& error) { return error.code == Errc::account_refused; }

bool is_a_limit(const Error& error) {
  return error.code == Errc::context_too_long || error.code == Errc::unsupported ||
         error.code == Errc::invalid_request;
}

}  // namespace

bool nobody_waits(Errc code) { return code == Errc::cancelled || code == Errc::slow_client; }

bool is_the_targets_fault(Errc code) {
  return code == Errc::backend_unavailable || code == Errc::account_refused ||
         code == Errc::deadline_exceeded || code == Errc::rate_limited || code == Errc::overloaded;
}

bool Search::is_beyond(std::string_view target) const {
  return std::find(beyond_.begin(), beyond_.end(), target) != beyond_.end();
}

void Search::failed(const policy::Candidate& candidate, const Error& error) {
  const bool own_limit = is_its_own_limit(candidate, error);
  if (own_limit || is_the_accounts(error)) beyond_.push_back(candidate.target);
  failures_.push_back(error);
  if (own_limit || lacks_tier(candidate, error)) return;
  over_ = error.code == Errc::invalid_request || nobody_waits(error.code);
}

void Search::unpaid(const Error& error) {
  if (!unpaid_) unpaid_ = error;
}

Error Search::verdict() const {
  if (failures_.empty() && unpaid_) return *unpaid_;
  Error verdict{Errc::backend_unavailable, "none of the targets for this request could answer", "",
                std::nullopt};
  if (failures_.empty()) return verdict;
  if (std::all_of(failures_.begin(), failures_.end(), is_a_limit)) return failures_.front();
  if (std::all_of(failures_.begin(), failures_.end(), is_full)) {
    verdict.code = Errc::overloaded;
    verdict.message = "all targets for this request are full";
  }
  if (std::all_of(failures_.begin(), failures_.end(), is_the_accounts)) {
    verdict.code = Errc::account_refused;
    verdict.message =
        "who was to answer does not accept the gateway's account there: its operator must see to "
        "it";
  }
  for (const Error& failure : failures_) {
    if (!failure.retry_after) continue;
    verdict.retry_after =
        std::min(verdict.retry_after.value_or(*failure.retry_after), *failure.retry_after);
  }
  return verdict;
}

policy::ServerSet FailedServers::of(std::string_view target) const {
  const auto found = failed_.find(target);
  return found == failed_.end() ? 0 : found->second;
}

policy::ServerSet FailedServers::others(std::string_view target, std::size_t count) const {
  const policy::ServerSet every = policy::first(count);
  return all(target, count) ? every : every & ~of(target);
}

void FailedServers::add(std::string_view target, std::size_t server) {
  failed_[target] |= policy::only(server);
}

bool FailedServers::all(std::string_view target, std::size_t count) const {
  return (policy::first(count) & ~of(target)) == 0;
}

}  // namespace spillway
