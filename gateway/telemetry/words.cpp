#include "gateway/telemetry/words.h"

#include "backends/contract/error.h"

#include <algorithm>
#include <limits>
#include <span>

namespace spillway::telemetry {
namespace {

using Texts = std::span<const std::string_view>;

constexpr std::string_view kOtherText = "_other";

constexpr std::string_view kOperations[] = {"chat", "completion", "embeddings", "messages",
                                            "responses"};
constexpr std::string_view kCodes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr std::string_view kStreams[] = {"false", "true"};
constexpr std::string_view kPhases[] = {"decide", "dispatch"};
constexpr std::string_view kObjectives[] = {"ttft", "per_token"};
constexpr std::string_view kSides[] = {"early", "late"};
constexpr std::string_view kTokens[] = {"input", "output", "cached_input", "reasoning"};
constexpr std::string_view kLocalities[] = {"local", "cloud"};
constexpr std::string_view kSavings[] = {"local"};
constexpr std::string_view kHedged[] = {"won", "lost", "failed"};
constexpr std::string_view kStages[] = {"before_first_token", "streaming"};
constexpr std::string_view kSheds[] = {"rate", "budget", "overload", "deadline", "no_route"};
constexpr std::string_view kFolds[] = {"class",  "target", "model",     "tenant",
                                       "reason", "rule",   "series_max"};

constexpr std::size_t kErrors = static_cast<std::size_t>(Errc::internal) + 1;

Texts fixed_texts(Words words) {
  switch (words) {
    case Words::operation: return kOperations;
    case Words::code: return kCodes;
    case Words::stream: return kStreams;
    case Words::phase: return kPhases;
    case Words::objective: return kObjectives;
    case Words::side: return kSides;
    case Words::token: return kTokens;
    case Words::locality: return kLocalities;
    case Words::saving: return kSavings;
    case Words::hedged: return kHedged;
    case Words::stage: return kStages;
    case Words::shed: return kSheds;
    case Words::folded: return kFolds;
    default: return {};
  }
}

bool is_configured(Words words) {
  return static_cast<std::size_t>(words) < kConfiguredVocabularies;
}

}  // namespace

Vocabulary::Vocabulary() = default;

Vocabulary::Vocabulary(const Vocabulary& before, const ClosedSets& sets) {
  for (std::size_t i = 0; i < kConfiguredVocabularies; ++i) {
    add(static_cast<Words>(i), before.configured_[i].texts);
  }
  add(Words::request_class, sets.classes);
  add(Words::target, sets.targets);
  add(Words::model, sets.models);
  add(Words::tenant, sets.tenants);
  add(Words::reason, sets.reasons);
  add(Words::rule, sets.rules);
  // Only now: growing the vectors moves the strings that the tables point to.
  for (Set& set : configured_) {
    for (std::size_t i = 0; i < set.texts.size(); ++i) {
      set.numbers.emplace(set.texts[i], static_cast<Word>(kFirstWord + i));
    }
  }
  remember_spills(before.spill_reasons_);
  remember_spills(sets.spill_reasons);
}

void Vocabulary::remember_spills(const std::vector<std::string>& reasons) {
  spills_.resize(kFirstWord + size(Words::reason));
  for (const std::string& reason : reasons) {
    const Word found = find(Words::reason, reason);
    if (found < kFirstWord || spills_[found]) continue;
    spills_[found] = true;
    spill_reasons_.push_back(reason);
  }
}

void Vocabulary::add(Words words, const std::vector<std::string>& texts) {
  constexpr std::size_t kWordsMax = std::numeric_limits<Word>::max() - kFirstWord;
  std::vector<std::string>& known = configured_[static_cast<std::size_t>(words)].texts;
  for (const std::string& text : texts) {
    const bool is_new = std::find(known.begin(), known.end(), text) == known.end();
    if (is_new && !text.empty() && known.size() < kWordsMax) known.push_back(text);
  }
}

Word Vocabulary::find(Words words, std::string_view text) const {
  if (text.empty()) return kNothing;
  const auto& numbers = configured_[static_cast<std::size_t>(words)].numbers;
  const auto found = numbers.find(text);
  return found == numbers.end() ? kOther : found->second;
}

std::string_view Vocabulary::text(Words words, Word word) const {
  if (word == kOther) return kOtherText;
  const std::size_t place = word - kFirstWord;
  if (is_configured(words)) return configured_[static_cast<std::size_t>(words)].texts[place];
  if (words == Words::error) return name_of(static_cast<Errc>(place));
  return fixed_texts(words)[place];
}

std::size_t Vocabulary::words_in_all() const {
  std::size_t sum = spill_reasons_.size();
  for (const Set& set : configured_) sum += set.texts.size();
  return sum;
}

bool Vocabulary::is_spill(Word reason) const { return reason < spills_.size() && spills_[reason]; }

std::size_t Vocabulary::size(Words words) const {
  if (is_configured(words)) return configured_[static_cast<std::size_t>(words)].texts.size();
  if (words == Words::error) return kErrors;
  return fixed_texts(words).size();
}

}  // namespace spillway::telemetry
