#include "gateway/tab.h"

#include "gateway/notes.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/price.h"
#include "gateway/policy/takes.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <utility>

namespace spillway {
namespace {

using config::NanoUsd;

constexpr int kTokensLeast = 1;           // An answer shorter than this is none.
constexpr int kTokensPerPart = 50'000;    // What a picture or a sound may come to, at most.
constexpr int kTokensPerSearch = 50'000;  // What it finds is read as part of the prompt.
constexpr int kSearchesUsually = 5;
constexpr std::chrono::milliseconds kAskAgain{1'000};

bool is_hard(const config::Budget* budget) { return budget && budget->hard && budget->limited(); }

const config::Budget* budget_of(const config::Settings& settings, std::string_view tenant) {
  for (const config::Tenant& one : settings.tenants) {
    if (one.name == tenant) return &one.budget;
  }
  return nullptr;
}

// No tokenizer makes more tokens than there are bytes.
int most_prompt_tokens(const ChatRequest& request) {
  const std::size_t most =
      std::max(request.body.size(), request.prompt_bytes) +
      static_cast<std::size_t>(request.media) * kTokensPerPart +
      static_cast<std::size_t>(request.added_tokens) +
      static_cast<std::size_t>(request.searches.value_or(0)) * kTokensPerSearch;
  constexpr std::size_t kMost = std::numeric_limits<int>::max() / 2;  // More may be added to it.
  return static_cast<int>(std::min(most, kMost));
}

// The tokens that all choices together may have; nobody knows where the client does not say.
std::optional<int> limit_of(const ChatRequest& request) {
  if (!writes(request.endpoint)) return 0;
  return policy::tokens_of_all(request.sampling.tokens_max, request.answers());
}

// A ranking's, where nobody told them.
void suppose_units(int search_units, Part& part) {
  if (search_units > 0 && part.searches_told == 0)
    part.usage.searches = part.usage_told ? 1 : search_units;
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

const config::ProviderTarget* provider_named(const config::Settings& settings,
                                             std::string_view name) {
  for (const config::ProviderTarget& provider : settings.providers) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

// By the engine or an encoder.
bool served_here(const config::Settings& settings, const Part& part) {
  if (part.local) return true;
  const config::ProviderTarget* const provider = provider_named(settings, part.target);
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

account::Payer payer_of(const config::Settings& settings, const config::Key* key) {
  const policy::Caller caller{key, nullptr};
  account::Payer payer{
      caller.tenant(), caller.name(), {}, budget_of(settings, caller.tenant()), nullptr};
  if (!key) return payer;
  payer.project = key->project;
  payer.key_budget = &key->budget;
  return payer;
}

Tab::Tab(account::Account* account, const config::Settings& settings, const config::Key* key)
    : account_(account),
      settings_(settings),
      payer_(payer_of(settings, key)),
      hard_(is_hard(payer_.tenant_budget) || is_hard(payer_.key_budget)) {}

void Tab::order(const ChatRequest& request, int prompt_tokens, bool at_batch_rate) {
  counted_ = prompt_tokens;
  prompt_tokens_ = hard_ ? most_prompt_tokens(request) : prompt_tokens;
  asks_ = request.endpoint;
  has_tools_ = request.has_tools;
  sounds_ = has(request.needs, Need::audio);
  looks_up_ = has(request.needs, Need::search) || !request.searches;
  searches_ = request.searches;
  search_units_ = request.search_units;
  unsent_ = request.unsent;
  at_batch_rate_ = at_batch_rate;
  answers_ = request.answers();
  completion_tokens_max_ = limit_of(request);
}

// The most that a body can come to has its form in it.
int Tab::prompt_of(const policy::Candidate& candidate) const {
  return prompt_tokens_ + (hard_ ? 0 : candidate.form_tokens) +
         tool_prompt_of(candidate.target, candidate.model);
}

int Tab::prompt_of(const policy::Candidate& candidate, const Begun& begun) const {
  const int read = begun.bytes_read == 0 ? 0 : begun.tokens;
  return prompt_of(candidate) + (hard_ ? static_cast<int>(begun.bytes_read) : read);
}

int Tab::tool_prompt_of(std::string_view target, std::string_view model) const {
  const config::ProviderTarget* const provider = provider_named(settings_, target);
  return has_tools_ && provider != nullptr ? policy::tool_prompt_tokens(*provider, model) : 0;
}

config::Price Tab::price_of(std::string_view target, bool local, const Receipt& receipt) const {
  if (local) return receipt.local_price.tokens;
  const config::ProviderTarget* const provider = provider_named(settings_, target);
  if (provider == nullptr) return config::Price();
  return search_units_ > 0 ? policy::by_search_units(provider->price) : provider->price;
}

// What nothing of it can be costs nothing.
config::Price Tab::price_of_order(config::Price price, int prompt_tokens) const {
  if (!sounds_) price.audio_input_per_million = price.audio_output_per_million = 0;
  price.per_request += search_units_ * price.per_search;
  return policy::at_length(price, prompt_tokens);
}

// The engine looks nothing up.
Result<NanoUsd> Tab::cost_of_lookups(const policy::Candidate& candidate,
                                     const config::Price& price) const {
  if (candidate.local) return 0;
  if (hard_ && !unsent_.empty() && price.input_per_million > 0)
    return Error{Errc::unsupported,
                 "This budget has a hard end, and nobody knows how much this may come to: " +
                     unsent_ + ". Send the content itself, as text, or leave it out.",
                 "messages", std::nullopt};
  const bool costs = price.per_search > 0 || price.input_per_million > 0;
  const bool is_unasked = policy::searches_unasked(candidate.model);
  if (hard_ && is_unasked && costs)
    return Error{Errc::unsupported,
                 std::string(candidate.model) +
                     " searches the web unasked, each search costs, and this budget has a hard "
                     "end. Choose a model that does not.",
                 "model", std::nullopt};
  if (hard_ && !searches_ && costs)
    return Error{Errc::unsupported,
                 "Each web search costs, and this budget has a hard end: say how many there may be "
                 "(max_uses of the tool).",
                 "tools", std::nullopt};
  const int searches = searches_.value_or(kSearchesUsually);
  return (is_unasked ? std::max(searches, kSearchesUsually) : searches) * price.per_search;
}

// The engine's time is known when it is over only: a hard budget pays no more of it than was held,
// which its tokens were expected to take.
NanoUsd Tab::cost_of(const Part& part, const Receipt& receipt) const {
  const NanoUsd by_tokens = policy::cost_of(price_of(part.target, part.local, receipt), part.usage);
  if (!part.local) return by_tokens;
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

Result<void> Tab::cover(const policy::Candidate& candidate, const Begun& begun,
                        const Receipt& receipt) {
  if (!account_) return {};
  if (!candidate.local && !account_->writable())
    return Error{Errc::overloaded,
                 "What this would cost cannot be booked at present. Try again later.", "",
                 kAskAgain};
  const int prompt = prompt_of(candidate, begun);
  price_ = price_of_order(price_of(candidate.target, candidate.local, receipt), prompt);
  const auto searches = cost_of_lookups(candidate, price_);
  if (!searches) return searches.error();
  before_ = spent(receipt) + policy::worst_case_cost(price_, prompt, begun.again) + *searches;
  const int most = completion_tokens_max_.value_or(policy::kCompletionTokensAssumed);
  const int least_tokens = completion_tokens_max_ == 0 ? 0 : answers_ * kTokensLeast;
  const int left = std::max(least_tokens, most - begun.tokens);
  const NanoUsd wanted = before_ + cost_of_answer(price_, left);
  const NanoUsd least = hard_ ? before_ + cost_of_answer(price_, least_tokens) : wanted;
  auto granted = put_aside(receipt.request_id, least, wanted);
  if (!granted) return granted.error();
  again_ = begun.again;
  affordable_.reset();
  if (hard_) affordable_ = std::min(left, tokens_for(hold_.granted() - before_, price_));
  return {};
}

Result<void> Tab::cover_beside(const policy::Candidate& second, const Receipt& receipt) {
  if (!account_) return {};
  if (!second.local && !account_->writable())
    return Error{Errc::overloaded, "it cannot be booked at present", "", kAskAgain};
  const config::Price price =
      price_of_order(price_of(second.target, second.local, receipt), prompt_of(second));
  const int most = completion_tokens_max_.value_or(policy::kCompletionTokensAssumed);
  const auto searches = cost_of_lookups(second, price);
  if (!searches) return searches.error();
  const NanoUsd both =
      hold_.granted() + policy::worst_case_cost(price, prompt_of(second), most) + *searches;
  return put_aside(receipt.request_id, both, both);
}

NanoUsd Tab::cost_of_prompt(const policy::Candidate& candidate, const Receipt& receipt) const {
  const config::Price price =
      price_of_order(price_of(candidate.target, candidate.local, receipt), prompt_of(candidate));
  return policy::worst_case_cost(price, prompt_of(candidate), 0);
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
  if (hold_.open()) return hold_.raise(least, wanted);
  auto hold = account_->hold(id, payer_, least, wanted);
  if (!hold) return hold.error();
  hold_ = std::move(*hold);
  return {};
}

std::shared_ptr<const ChatRequest> Tab::affordable(
    std::shared_ptr<const ChatRequest> request) const {
  const bool enough =
      affordable_ && completion_tokens_max_ && *affordable_ >= *completion_tokens_max_;
  if (!affordable_ || enough) return request;
  auto shorter = std::make_shared<ChatRequest>(*request);
  Sampling& sampling = shorter->sampling;
  sampling.tokens_max = std::max(kTokensLeast, (*affordable_ + again_) / answers_);
  sampling.tokens_min = std::min(sampling.tokens_min, *sampling.tokens_max);
  shorter->cut_short = true;
  return shorter;
}

// Who keeps to what it was told ends by itself, and tells its usage: it is not cut for long words.
bool Tab::may_go_on(const Part& part) const {
  return !affordable_ || tokens_at_least(part) - part.repeated_tokens <= *affordable_;
}

void Tab::suppose(bool streamed, std::size_t bytes_written, Part& part) const {
  if (!hard_) {
    if (writes(asks_)) part.bytes = bytes_written;
    return;
  }
  const int counted = part.usage.prompt_tokens;
  part.usage.prompt_tokens = prompt_tokens_ + tool_prompt_of(part.target, part.model);
  if (!streamed) part.usage.completion_tokens = affordable_.value_or(0);
  part.supposed_tokens =
      part.usage.completion_tokens + std::max(0, part.usage.prompt_tokens - counted);
}

std::string Tab::warning() { return account_ ? account_->warning(payer_) : std::string(); }

// What had to be counted here of what may be sound is taken for sound, which costs more.
void Tab::price(Part& part, const Receipt& receipt) const {
  if (sounds_ && part.estimated) part.usage.audio_completion_tokens = part.usage.completion_tokens;
  if (sounds_ && !part.usage_told) part.usage.audio_prompt_tokens = part.usage.prompt_tokens;
  if (looks_up_ && !part.unanswered && part.usage.searches == 0) {
    part.usage.searches = 1;
    part.estimated |= !searches_;  // It may have found that it needed none.
  }
  suppose_units(search_units_, part);
  part.cost_nano_usd = cost_of(part, receipt);
  const bool is_told = heed_charge(price_of(part.target, part.local, receipt), part);
  part.estimated |= part.usage.at_dearer_rate && !is_told;
}

void Tab::price(Receipt& receipt) const {
  for (Part& part : receipt.parts) {
    price(part, receipt);
    receipt.cost_nano_usd += part.cost_nano_usd;
    part.here = served_here(settings_, part);
    if (!part.here || part.lost) continue;
    Usage elsewhere = part.usage;
    elsewhere.at_batch_rate = at_batch_rate_;
    receipt.avoided_nano_usd += policy::avoided_cost(settings_.providers, asks_, elsewhere);
  }
}

void Tab::settle(Receipt& receipt) {
  if (std::exchange(settled_, true)) return;
  add_up(receipt);
  price(receipt);
  hold_.post(posting_of(receipt));
}

}  // namespace spillway
