#include "gateway/request/search.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway {
namespace {

constexpr std::chrono::milliseconds kAskAgain{1'000};

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

bool is_full(Errc code) { return code == Errc::rate_limited || code == Errc::overloaded; }

bool is_the_accounts(Errc code) { return code == Errc::account_refused; }

bool is_a_limit(Errc code) {
  return code == Errc::context_too_long || code == Errc::unsupported ||
         code == Errc::invalid_request;
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

void Search::failed(const policy::Candidate& candidate, bool understood, const Error& error) {
  const bool own_limit = is_its_own_limit(candidate, error);
  if (own_limit || is_the_accounts(error.code)) beyond_.push_back(candidate.target);
  failures_.push_back({error, understood, candidate.local});
  if (own_limit || lacks_tier(candidate, error)) return;
  over_ = error.code == Errc::invalid_request || nobody_waits(error.code);
}

bool Search::only_full() const {
  return !failures_.empty() &&
         std::all_of(failures_.begin(), failures_.end(),
                     [](const Failure& failure) { return is_full(failure.error.code); });
}

void Search::unpaid(const Error& error) {
  if (!unpaid_) unpaid_ = error;
}

Error Search::verdict(bool others_rest) const {
  if (retries_used_up_)
    return {Errc::overloaded,
            "the first target for this request could not answer, and no other is asked for now: "
            "too many requests are asked again",
            "", soonest().value_or(kAskAgain)};
  const auto all = [this](bool (*is_so)(Errc)) {
    return std::all_of(failures_.begin(), failures_.end(),
                       [is_so](const Failure& failure) { return is_so(failure.error.code); });
  };
  const bool understood = std::any_of(failures_.begin(), failures_.end(),
                                      [](const Failure& failure) { return failure.understood; });
  if (unpaid_ && !understood && all(is_a_limit)) return *unpaid_;
  Error verdict{Errc::backend_unavailable, "none of the targets for this request could answer", "",
                std::nullopt};
  if (failures_.empty()) return verdict;
  const bool words_lack =
      std::all_of(failures_.begin(), failures_.end(), [](const Failure& failure) {
        return is_full(failure.error.code) ||
               (is_a_limit(failure.error.code) && !failure.understood);
      });
  const bool come_back = words_lack && (others_rest || !all(is_a_limit));
  if (all(is_a_limit) && !come_back) return most_useful();
  if (come_back) {
    verdict.code = Errc::overloaded;
    verdict.message = "all targets for this request are full";
  }
  if (all(is_the_accounts)) {
    verdict.code = Errc::account_refused;
    verdict.message =
        "who was to answer does not accept the gateway's account there: its operator must see to "
        "it";
  }
  verdict.retry_after = soonest();
  if (come_back && !verdict.retry_after) verdict.retry_after = kAskAgain;
  return verdict;
}

// When one of them is to be asked again.
std::optional<std::chrono::milliseconds> Search::soonest() const {
  std::optional<std::chrono::milliseconds> soonest;
  for (const Failure& failure : failures_) {
    const auto after = failure.error.retry_after;
    if (after) soonest = std::min(soonest.value_or(*after), *after);
  }
  return soonest;
}

const Error& Search::most_useful() const {
  const auto use = [](const Failure& failure) {
    return std::pair(failure.understood, !failure.local);
  };
  return std::max_element(failures_.begin(), failures_.end(),
                          [&](const Failure& a, const Failure& b) { return use(a) < use(b); })
      ->error;
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
