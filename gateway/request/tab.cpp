#include "gateway/request/tab.h"

#include "config/named.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/price.h"
#include "gateway/request/notes.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace spillway {
namespace {

using config::NanoUsd;

constexpr int kTokensLeast = 1;  // An answer shorter than this is none.
constexpr std::chrono::milliseconds kAskAgain{1'000};

bool is_hard(const config::Budget* budget) { return budget && budget->hard && budget->limited(); }

const config::Budget* budget_of(const config::Settings& settings, std::string_view tenant) {
  const config::Tenant* const one = config::named(settings.tenants, tenant);
  return one == nullptr ? nullptr : &one->budget;
}

// What so many more answer tokens add.
NanoUsd cost_of_answer(config::Price price, int tokens) {
  price.per_request = 0;
  return policy::worst_case_cost(price, 0, tokens);
}

// How many answer tokens so much money buys.
int tokens_for(NanoUsd amount, const config::Price& price) {
  constexpr NanoUsd kMost = 1'000'000'000;
  const NanoUsd dearest = std::max(price.output_per_million, price.audio_output_per_million);
  if (dearest <= 0) return static_cast<int>(kMost);
  using Wide = __int128;
  const Wide tokens = static_cast<Wide>(std::max<NanoUsd>(0, amount)) * 1'000'000 / dearest;
  return static_cast<int>(std::min<Wide>(tokens, kMost));
}

// What the provider says that it asks is booked where its price says so, which is returned;
// elsewhere it shows that the price is not right. Without it, counts that contradict one another
// tell no exact cost.
bool heed_charge(const config::Price& price, Part& part) {
  const NanoUsd charged = part.usage.charged_nano_usd;
  if (!price.as_told || charged < 0) part.estimated |= part.usage.contradictory;
  if (charged < 0 || part.estimated) return false;
  const NanoUsd off = std::abs(charged - part.cost_nano_usd);
  if (price.as_told) {
    part.cost_nano_usd = charged;
  } else if (off > std::max(charged, part.cost_nano_usd) / 100 + 1) {
    part.estimated = part.charged_otherwise = true;
  }
  return price.as_told;
}

// By the engine or an encoder.
bool served_here(const config::Settings& settings, const Part& part) {
  if (part.local) return true;
  const config::ProviderTarget* const provider = config::named(settings.providers, part.target);
  return provider != nullptr && provider->is_here();
}

account::Posting posting_of(const Receipt& receipt) {
  account::Posting posting{receipt.request_class,
                           receipt.endpoint,
                           receipt.model_requested,
                           receipt.avoided_nano_usd,
                           {}};
  for (const Part& part : receipt.parts) {
    posting.legs.push_back(
        {part.target, part.model, part.here, part.estimated, part.usage, part.cost_nano_usd});
  }
  return posting;
}

}  // namespace

account::Payer payer_of(const config::Settings& settings, const config::Key* key,
                        const config::RequestClass* request_class) {
  const policy::Caller caller{key, nullptr};
  account::Payer payer{
      caller.tenant(), caller.name(), {}, budget_of(settings, caller.tenant()), nullptr};
  if (request_class) payer.share = {request_class->name, request_class->budget_share};
  if (!key) return payer;
  payer.project = key->project;
  payer.key_budget = &key->budget;
  return payer;
}

Tab::Tab(account::Account* account, const config::Settings& settings, const config::Key* key,
         const config::RequestClass* request_class)
    : account_(account),
      settings_(settings),
      payer_(payer_of(settings, key, request_class)),
      hard_(is_hard(payer_.tenant_budget) || is_hard(payer_.key_budget)),
      order_(settings, hard_) {}

void Tab::order(const ChatRequest& request, int prompt_tokens, bool at_batch_rate) {
  order_ = Order(settings_, hard_, request, prompt_tokens, at_batch_rate);
}

// The engine's time is known when it is over only: a hard budget pays no more of it than was held,
// which its tokens were expected to take.
NanoUsd Tab::cost_of(const Part& part, const Receipt& receipt) const {
  const NanoUsd by_tokens =
      policy::cost_of(order_.listed_at(part.target, part.local, receipt.local_price), part.usage);
  if (!part.local) return std::max(by_tokens, order_.most_of(part, receipt.local_price));
  const NanoUsd by_time = policy::cost_of_time(receipt.local_price.engine_hour, part.engine_time);
  return hard_ ? std::min(by_time, by_tokens) : by_time;
}

NanoUsd Tab::spent(const Receipt& receipt) const {
  NanoUsd sum = 0;
  for (const Part& part : receipt.parts) {
    Part so_far = part;
    spillway::settle(so_far);
    price(so_far, receipt);
    sum += so_far.cost_nano_usd;
  }
  return sum;
}

Result<Tab::Quote> Tab::quote(const policy::Candidate& candidate, const Begun& begun,
                              const Receipt& receipt) {
  const int prompt = order_.prompt_at(candidate, begun);
  price_ = order_.price_at(candidate.target, candidate.local, receipt.local_price, prompt);
  const auto searches = order_.cost_of_lookups(candidate, price_);
  if (!searches) return searches.error();
  before_ = spent(receipt) + policy::worst_case_cost(price_, prompt, begun.again) + *searches;
  const auto limit = order_.completion_tokens_max();
  const int most = limit.value_or(policy::kCompletionTokensAssumed);
  const int least_tokens = limit == 0 ? 0 : order_.answers() * kTokensLeast;
  Quote quote;
  quote.tokens = std::max(least_tokens, most - begun.tokens);
  // That somebody goes on regardless is seen by a token past the limit, which is paid for.
  quote.beyond = hard_ && !candidate.local && limit != 0 ? 1 : 0;
  quote.wanted = before_ + cost_of_answer(price_, quote.tokens + quote.beyond);
  quote.least =
      hard_ ? before_ + cost_of_answer(price_, least_tokens + quote.beyond) : quote.wanted;
  return quote;
}

Result<void> Tab::cover(const policy::Candidate& candidate, const Begun& begun,
                        const Receipt& receipt) {
  if (!account_) return {};
  if (!candidate.local && !account_->writable())
    return Error{Errc::overloaded,
                 "What this would cost cannot be booked at present. Try again later.", "",
                 kAskAgain};
  const auto quoted = quote(candidate, begun, receipt);
  if (!quoted) return quoted.error();
  auto granted = put_aside(receipt.request_id, quoted->least, quoted->wanted);
  if (!granted) return granted.error();
  again_ = begun.again;
  affordable_.reset();
  if (hard_ && !owed_)
    affordable_ =
        std::min(quoted->tokens, tokens_for(hold_.granted() - before_, price_) - quoted->beyond);
  return {};
}

Result<NanoUsd> Tab::reckon(const policy::Candidate& candidate, const Receipt& receipt) {
  const auto quoted = quote(candidate, {}, receipt);
  if (!quoted) return quoted.error();
  affordable_.reset();
  if (hard_) affordable_ = quoted->tokens;
  return quoted->wanted;
}

Result<void> Tab::cover_beside(const policy::Candidate& second, const Receipt& receipt) {
  if (!account_) return {};
  if (!second.local && !account_->writable())
    return Error{Errc::overloaded, "it cannot be booked at present", "", kAskAgain};
  const int prompt = order_.prompt_at(second);
  const config::Price price =
      order_.price_at(second.target, second.local, receipt.local_price, prompt);
  const int most = order_.completion_tokens_max().value_or(policy::kCompletionTokensAssumed);
  const auto searches = order_.cost_of_lookups(second, price);
  if (!searches) return searches.error();
  const NanoUsd both = hold_.granted() + policy::worst_case_cost(price, prompt, most) + *searches;
  return put_aside(receipt.request_id, both, both);
}

NanoUsd Tab::cost_of_prompt(const policy::Candidate& candidate, const Receipt& receipt) const {
  const int prompt = order_.prompt_at(candidate);
  return policy::worst_case_cost(
      order_.price_at(candidate.target, candidate.local, receipt.local_price, prompt), prompt, 0);
}

Result<void> Tab::afford(const policy::Plan& plan, const Receipt& receipt) {
  Result<void> covered;
  for (const policy::Candidate& candidate : plan.candidates) {
    covered = cover(candidate, {}, receipt);
    if (covered) return covered;
  }
  return covered;
}

Result<void> Tab::put_aside(const std::string& id, NanoUsd least, NanoUsd wanted) {
  if (hold_.open()) return owed_ ? Result<void>() : hold_.raise(least, wanted);
  auto hold =
      owed_ ? account_->owed(id, payer_, wanted) : account_->hold(id, payer_, least, wanted);
  if (!hold) return hold.error();
  hold_ = std::move(*hold);
  return {};
}

std::shared_ptr<const ChatRequest> Tab::affordable(
    std::shared_ptr<const ChatRequest> request) const {
  const auto limit = order_.completion_tokens_max();
  const bool enough = affordable_ && limit && *affordable_ >= *limit;
  if (!affordable_ || enough) return request;
  auto shorter = std::make_shared<ChatRequest>(*request);
  Sampling& sampling = shorter->sampling;
  sampling.tokens_max = std::max(kTokensLeast, (*affordable_ + again_) / order_.answers());
  sampling.tokens_min = std::min(sampling.tokens_min, *sampling.tokens_max);
  shorter->cut_short = true;
  return shorter;
}

// Who keeps to what it was told ends by itself, and tells its usage: it is not cut for long words.
bool Tab::may_go_on(const Part& part) const {
  return !affordable_ || tokens_if_cut(part) - part.repeated_tokens <= *affordable_;
}

void Tab::suppose(std::size_t bytes_written, Part& part) const {
  if (!hard_ && writes(order_.endpoint())) part.bytes = bytes_written;
}

std::string Tab::warning() { return account_ ? account_->warning(payer_) : std::string(); }

void Tab::price(Part& part, const Receipt& receipt) const {
  order_.suppose_most(part);
  order_.suppose_untold(part);
  part.cost_nano_usd = cost_of(part, receipt);
  const bool is_told =
      heed_charge(order_.listed_at(part.target, part.local, receipt.local_price), part);
  part.estimated |= part.usage.at_dearer_rate && !is_told;
}

void Tab::price(Receipt& receipt) const {
  for (Part& part : receipt.parts) {
    price(part, receipt);
    receipt.cost_nano_usd += part.cost_nano_usd;
    part.here = served_here(settings_, part);
    if (!part.here || part.lost) continue;
    Usage elsewhere = part.usage;
    elsewhere.at_batch_rate = order_.at_batch_rate();
    receipt.avoided_nano_usd +=
        policy::avoided_cost(settings_.providers, order_.endpoint(), elsewhere);
  }
}

void Tab::settle(Receipt& receipt) {
  if (std::exchange(settled_, true)) return;
  add_up(receipt);
  price(receipt);
  hold_.post(posting_of(receipt));
}

}  // namespace spillway
