#include "backends/local/engine/sequence.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

Sequence::Sequence(NewSequence asked, const TextCodec& codec, std::uint64_t seed,
                   DraftLimits drafts)
    : asked_(std::move(asked)),
      codec_(codec),
      sampler_(asked_.sampling, *asked_.prompt, codec.end_ids(), seed),
      stops_(asked_.sampling.stop, asked_.sampling.keeps_stop),
      text_(codec.open_stream(asked_.sampling.shows_special)) {
  tokens_.reserve(asked_.prompt->size() + static_cast<std::size_t>(asked_.tokens_max));
  tokens_.assign(asked_.prompt->begin(), asked_.prompt->end());
  known_ = tokens_.size();
  if (asked_.form) sampler_.allow(asked_.form->allowed());
  if (drafts.drafts > 0 && !asked_.form) drafter_.emplace(drafts);
}

int Sequence::draft(double cost) {
  tokens_.resize(known_);
  if (!drafter_) return 0;
  const int left = asked_.tokens_max - generated() - 1;
  const int drafts = std::min(drafter_->worth(cost), left);
  for (int i = 0; i < drafts; ++i)
    tokens_.push_back(tokens_[drafter_->begin() + static_cast<std::size_t>(i)]);
  return drafts;
}

// A form that has ended lets nothing follow, whoever wants to ignore that.
bool Sequence::is_end(std::int32_t token) const {
  const auto lists = [token](const std::vector<std::int32_t>& ids) {
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  };
  const bool heeds_end = asked_.form || !asked_.sampling.ignore_eos;
  return (heeds_end && lists(codec_.end_ids())) || lists(asked_.sampling.stop_tokens);
}

bool Sequence::accept(std::int32_t token, std::optional<ScoredToken> scored) {
  if (asked_.sampling.tokens_max == 0) {  // Of its prompt alone something was to be told.
    push_end({}, FinishReason::length);
    return true;
  }
  append(token);
  sampler_.record(token);
  ++unreported_;

  const bool ends = is_end(token);
  const bool is_said = !ends || asked_.sampling.keeps_stop;
  if (scored && is_said) note(std::move(*scored));
  std::string text = is_said ? text_->push(token) : std::string();
  said_ += text.size();
  // Before tokens_min a stop string is text like any other.
  const bool may_stop = generated() > asked_.sampling.tokens_min;
  std::string shown = may_stop ? stops_.push(text) : std::move(text);

  if (!ends && !stops_.matched() && generated() < asked_.tokens_max) {
    push_text(std::move(shown));
    return false;
  }
  // What is held back is text after all, unless it completes a stop string now.
  if (!stops_.matched()) shown += stops_.push(text_->finish());
  const bool stopped = ends || stops_.matched();
  if (!stops_.matched()) shown += stops_.finish();
  push_end(std::move(shown), stopped ? FinishReason::stop : FinishReason::length);
  return true;
}

// Drafts stay as long as they are what is said.
void Sequence::append(std::int32_t token) {
  if (!is_drafted(token)) {
    tokens_.resize(known_);
    tokens_.push_back(token);
  }
  ++known_;
  if (drafter_) drafter_->look(tokens());
}

void Sequence::note(ScoredToken scored) {
  scored_.push_back(std::move(scored));
  scored_from_.push_back(said_);
}

void Sequence::tell_prompt(int position, std::vector<ScoredToken> scored) {
  prompt_scored_ = position + 1;
  for (ScoredToken& token : scored) token.of_prompt = true;
  Delta delta;
  delta.scored = std::move(scored);
  asked_.outlet->push(std::move(delta));
}

void Sequence::tell_time() {
  Delta delta;
  delta.engine_time = std::exchange(untold_time_, {});
  asked_.outlet->push(std::move(delta));
}

bool Sequence::heed_form() {
  const grammar::Mask allowed = asked_.form->allowed();
  if (allowed.empty()) return false;
  sampler_.allow(allowed);
  return true;
}

Delta Sequence::piece(std::string text) {
  Delta delta;
  shown_ += text.size();
  delta.text = std::move(text);
  delta.tokens = std::exchange(unreported_, 0);
  delta.engine_time = std::exchange(untold_time_, {});
  delta.scored = std::exchange(scored_, {});
  return delta;
}

void Sequence::push_text(std::string text) {
  if (text.empty()) return;
  asked_.outlet->push(piece(std::move(text)));
  scored_from_.clear();
}

void Sequence::push_end(std::string text, FinishReason reason) {
  Delta delta = piece(std::move(text));
  // Of a stop string that is cut off nothing is told.
  while (stops_.matched() && !delta.scored.empty() &&
         scored_from_[delta.scored.size() - 1] >= shown_) {
    delta.scored.pop_back();
  }
  delta.finish = reason;
  delta.stopped_by = stops_.stopped_by();
  delta.usage = Usage{prompt_tokens(), generated(), reused, 0};
  asked_.outlet->push(std::move(delta));
  asked_.outlet->finish();
}

}  // namespace spillway::local
