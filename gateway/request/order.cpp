#include "gateway/request/order.h"

#include "config/named.h"
#include "gateway/policy/takes.h"
#include "gateway/wire/encoded_media.h"
#include "gateway/wire/normalized_bytes.h"

#include <algorithm>
#include <limits>

namespace spillway {
namespace {

using config::NanoUsd;

constexpr int kTokensPerPart = 50'000;    // What a picture or a sound may come to, at most.
constexpr int kTokensPerSearch = 50'000;  // What it finds is read as part of the prompt.
constexpr int kSearchesUsually = 5;

// Of a body, as a tokenizer may find them.
std::size_t bytes_read_of(const std::string& body, bool has_media) {
  const auto media = has_media ? wire::encoded_media_in(body) : wire::EncodedMedia();
  return wire::normalized_bytes_max(body) - media.encoded_bytes + media.read_bytes;
}

// No tokenizer makes more tokens than there are bytes in what it reads.
int most_prompt_tokens(const ChatRequest& request) {
  const bool has_media = request.media > 0;
  const std::size_t said = request.original ? bytes_read_of(request.original->body, has_media) : 0;
  const std::size_t most =
      std::max({bytes_read_of(request.body, has_media), said, request.prompt_bytes}) +
      static_cast<std::size_t>(request.media) * kTokensPerPart +
      static_cast<std::size_t>(request.added_tokens) +
      static_cast<std::size_t>(request.searches.value_or(0)) * kTokensPerSearch;
  constexpr std::size_t kMost = std::numeric_limits<int>::max() / 2;  // More may be added to it.
  return static_cast<int>(std::min(most, kMost));
}

std::optional<int> limit_of(const ChatRequest& request) {
  if (!writes(request.endpoint)) return 0;
  return policy::tokens_of_all(request.sampling.tokens_max, request.answers());
}

// A ranking's, where nobody told them.
void suppose_units(int search_units, Part& part) {
  if (search_units > 0 && part.searches_told == 0)
    part.usage.searches = part.usage_told ? 1 : search_units;
}

}  // namespace

Order::Order(const config::Settings& settings, bool hard, const ChatRequest& request,
             int prompt_tokens, bool at_batch_rate)
    : settings_(&settings),
      hard_(hard),
      endpoint_(request.endpoint),
      counted_(prompt_tokens),
      prompt_tokens_(hard ? most_prompt_tokens(request) : prompt_tokens),
      completion_tokens_max_(limit_of(request)),
      answers_(request.answers()),
      has_tools_(request.has_tools),
      sounds_(has(request.needs, Need::audio)),
      looks_up_(has(request.needs, Need::search) || !request.searches),
      searches_(request.searches),
      search_units_(request.search_units),
      unsent_(request.unsent),
      at_batch_rate_(at_batch_rate) {}

// The most that a body can come to has its form in it.
int Order::prompt_at(const policy::Candidate& candidate, const Begun& begun) const {
  const int read = begun.bytes_read == 0 ? 0 : begun.tokens;
  return prompt_at(candidate.target, candidate.model) + (hard_ ? 0 : candidate.form_tokens) +
         (hard_ ? static_cast<int>(begun.bytes_read) : read);
}

int Order::prompt_at(std::string_view target, std::string_view model) const {
  const config::ProviderTarget* const provider = config::named(settings_->providers, target);
  const bool tells_of_tools = has_tools_ && provider != nullptr;
  return prompt_tokens_ + (tells_of_tools ? policy::tool_prompt_tokens(*provider, model) : 0);
}

config::Price Order::listed_at(std::string_view target, bool local,
                               const policy::LocalPrice& local_price) const {
  if (local) return local_price.tokens;
  const config::ProviderTarget* const provider = config::named(settings_->providers, target);
  if (provider == nullptr) return config::Price();
  return search_units_ > 0 ? policy::by_search_units(provider->price) : provider->price;
}

config::Price Order::price_at(std::string_view target, bool local,
                              const policy::LocalPrice& local_price, int prompt) const {
  config::Price price = listed_at(target, local, local_price);
  if (!sounds_) price.audio_input_per_million = price.audio_output_per_million = 0;
  price.per_request += search_units_ * price.per_search;
  return policy::at_length(price, prompt);
}

// The engine looks nothing up.
Result<NanoUsd> Order::cost_of_lookups(const policy::Candidate& candidate,
                                       const config::Price& price) const {
  if (candidate.local) return 0;
  if (hard_ && !unsent_.empty() && price.input_per_million > 0)
    return Error{Errc::unsupported,
                 "This budget has a hard end, and nobody knows how much this may come to: " +
                     unsent_ + ". Send the content itself, as text, or leave it out.",
                 search_units_ > 0 ? "documents" : "messages", std::nullopt};
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

// Its last count may be of all but what is under way; who counts before the first word, or went on
// since, has not told what it thought.
void Order::suppose_most(Part& part) const {
  if (!hard_ || part.local) return;
  Usage& usage = part.usage;
  const int counted = usage.prompt_tokens + usage.completion_tokens;
  const int prompt = prompt_at(part.target, part.model) + static_cast<int>(part.begun_bytes);
  if (!part.usage_told) usage.prompt_tokens = std::max(usage.prompt_tokens, prompt);
  const bool has_ended = part.finished && part.unended <= 0;
  if (!has_ended && !is_told_so_far(part)) {
    const int granted = part.tokens_max.value_or(usage.completion_tokens);
    usage.completion_tokens = std::max(usage.completion_tokens, granted);
    usage.searches = std::max(usage.searches, searches_.value_or(0));
  }
  part.supposed_tokens += usage.prompt_tokens + usage.completion_tokens - counted;
  part.estimated |= part.supposed_tokens > 0;
}

NanoUsd Order::most_of(const Part& part, const policy::LocalPrice& local_price) const {
  const bool is_ranking = search_units_ > 0;  // Its price of a request has all units in it.
  if (!hard_ || part.usage_told || (is_ranking && part.searches_told > 0)) return 0;
  const int prompt = part.usage.prompt_tokens;
  const config::Price price = price_at(part.target, part.local, local_price, prompt);
  return policy::worst_case_cost(price, prompt, part.usage.completion_tokens) +
         (is_ranking ? 0 : part.usage.searches * price.per_search);
}

// What had to be counted here of what may be sound is taken for sound, which costs more.
void Order::suppose_untold(Part& part) const {
  if (sounds_ && part.estimated) part.usage.audio_completion_tokens = part.usage.completion_tokens;
  if (sounds_ && !part.usage_told) part.usage.audio_prompt_tokens = part.usage.prompt_tokens;
  if (looks_up_ && !part.unanswered && part.usage.searches == 0) {
    part.usage.searches = 1;
    part.estimated |= !searches_;  // It may have found that it needed none.
  }
  suppose_units(search_units_, part);
}

}  // namespace spillway
