#include "backends/local/scored_stream.h"

#include "backends/local/answer/logprob_words.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::local {

namespace {

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto character = utf8::decode(bytes);
    if (character.quality != utf8::Quality::whole) return false;
    bytes.remove_prefix(character.length);
  }
  return true;
}

class ScoredStream final : public TokenStream {
 public:
  ScoredStream(std::unique_ptr<TokenStream> text, const TextCodec& codec, Prompts prompts,
               std::shared_ptr<const ChatRequest> request)
      : text_(std::move(text)),
        codec_(codec),
        prompts_(std::move(prompts)),
        request_(std::move(request)),
        prompt_scores_(prompts_->size()) {}

  Async<std::optional<Delta>> next(Deadline deadline) override {
    auto delta = co_await text_->next(deadline);
    if (delta && *delta) tell(**delta);
    co_return delta;
  }
  bool ready() override { return text_->ready(); }
  bool at_work() const override { return text_->at_work(); }

 private:
  // How far one choice is.
  struct Choice {
    std::unique_ptr<TextStream> text;
    std::size_t characters = 0;
  };

  void tell(Delta& delta) {
    std::vector<ScoredToken> scored = std::exchange(delta.scored, {});
    if (!scored.empty() && scored.front().of_prompt) {
      auto& scores = prompt_scores_[prompt_of(delta.choice)];
      scores.insert(scores.end(), scored.begin(), scored.end());
      return;
    }
    if (scored.empty() && delta.text.empty() && !delta.finish) return;
    answer::LogprobWords words(request_->endpoint);
    auto found = choices_.find(delta.choice);
    if (found == choices_.end()) {
      found = choices_.emplace(delta.choice, Choice{open()}).first;
      tell_prompt(delta);
      begin(found->second, delta, words);
    }
    for (const ScoredToken& token : scored) add(token, found->second, words);
    delta.logprobs = words.text();
  }

  std::size_t prompt_of(int choice) const {
    const auto each = static_cast<std::size_t>(request_->choices) / prompts_->size();
    return static_cast<std::size_t>(choice) / each;
  }

  std::unique_ptr<TextStream> open() const {
    return codec_.open_stream(request_->sampling.shows_special);
  }

  // A chat has one prompt, whose logprobs are the answer's; those of completions are each choice's.
  void tell_prompt(Delta& delta) const {
    const bool is_told = request_->endpoint == Endpoint::chat && choices_.size() > 1;
    if (is_told || !request_->sampling.prompt_logprobs) return;
    std::string member = answer::prompt_logprobs_member(places(prompt_of(delta.choice)));
    Beside beside;
    (request_->endpoint == Endpoint::chat ? beside.answer : beside.choice) = std::move(member);
    delta.beside = std::make_shared<const Beside>(std::move(beside));
  }

  std::vector<std::vector<answer::RankedSpelling>> places(std::size_t prompt) const {
    const auto wanted = static_cast<std::size_t>(*request_->sampling.prompt_logprobs);
    std::vector<std::vector<answer::RankedSpelling>> all;
    for (const ScoredToken& token : prompt_scores_[prompt]) {
      auto& place = all.emplace_back();
      if (!token.logprob) continue;
      place.push_back({token.token, codec_.spelling(token.token), *token.logprob, token.rank});
      for (std::size_t i = 0; i < std::min(wanted, token.likeliest.size()); ++i) {
        const LikelyToken& one = token.likeliest[i];
        const int rank = static_cast<int>(i) + 1;
        place.push_back({one.token, codec_.spelling(one.token), one.logprob, rank});
      }
    }
    return all;
  }

  // Offsets count from the beginning of the choice's text.
  void begin(Choice& choice, Delta& delta, answer::LogprobWords& words) const {
    choice.characters = characters_in(request_->begun);
    if (!has(request_->needs, Need::echo)) return;
    Choice repeated{open()};
    const std::size_t prompt = prompt_of(delta.choice);
    if (request_->sampling.logprobs) {
      for (const ScoredToken& token : prompt_scores_[prompt]) add(token, repeated, words);
    }
    std::string text;
    const auto stream = codec_.open_stream();
    for (const std::int32_t token : (*prompts_)[prompt]) text += stream->push(token);
    text += stream->finish();
    choice.characters = characters_in(text);
    delta.text.insert(0, text);
  }

  answer::Spelling spelling(std::int32_t token) const {
    std::string bytes = codec_.spelling(token);
    const bool text = is_text(bytes);
    return {std::move(bytes), text};
  }

  void add(const ScoredToken& token, Choice& choice, answer::LogprobWords& words) const {
    answer::ScoredSpelling spelled{spelling(token.token), token.logprob};
    const auto wanted = static_cast<std::size_t>(request_->sampling.logprobs.value_or(0));
    for (std::size_t i = 0; i < std::min(wanted, token.likeliest.size()); ++i) {
      const LikelyToken& one = token.likeliest[i];
      spelled.likeliest.push_back({spelling(one.token), one.logprob});
    }
    spelled.offset = choice.characters;
    choice.characters += characters_in(choice.text->push(token.token));
    words.add(spelled);
  }

  const std::unique_ptr<TokenStream> text_;
  const TextCodec& codec_;
  const Prompts prompts_;
  const std::shared_ptr<const ChatRequest> request_;
  std::vector<std::vector<ScoredToken>> prompt_scores_;
  std::map<int, Choice> choices_;
};

}  // namespace

std::unique_ptr<TokenStream> with_logprobs(std::unique_ptr<TokenStream> text,
                                           const TextCodec& codec, Prompts prompts,
                                           std::shared_ptr<const ChatRequest> request) {
  return std::make_unique<ScoredStream>(std::move(text), codec, std::move(prompts),
                                        std::move(request));
}

}  // namespace spillway::local
