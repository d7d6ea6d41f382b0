#include "backends/local/engine/sequence.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

Sequence::Sequence(NewSequence asked, const TextCodec& codec, std::uint64_t seed)
    : asked_(std::move(asked)),
      codec_(codec),
      sampler_(asked_.sampling, *asked_.prompt, codec.end_ids(), seed),
      stops_(asked_.sampling.stop),
      text_(codec.open_stream()) {
  tokens_.reserve(asked_.prompt->size() + static_cast<std::size_t>(asked_.tokens_max));
  tokens_.assign(asked_.prompt->begin(), asked_.prompt->end());
  if (asked_.form) sampler_.allow(asked_.form->allowed());
}

bool Sequence::accept(std::int32_t token) {
  tokens_.push_back(token);
  sampler_.record(token);
  ++unreported_;

  const auto& end_ids = codec_.end_ids();
  const bool is_end = std::binary_search(end_ids.begin(), end_ids.end(), token);
  // A form that has ended lets nothing follow, whoever wants to ignore that.
  const bool ends = is_end && (asked_.form || !asked_.sampling.ignore_eos);
  std::string text = ends ? std::string() : text_->push(token);
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

bool Sequence::heed_form() {
  const grammar::Mask allowed = asked_.form->allowed();
  if (allowed.empty()) return false;
  sampler_.allow(allowed);
  return true;
}

void Sequence::push_text(std::string text) {
  if (text.empty()) return;
  Delta delta;
  delta.text = std::move(text);
  delta.tokens = std::exchange(unreported_, 0);
  asked_.outlet->push(std::move(delta));
}

void Sequence::push_end(std::string text, FinishReason reason) {
  Delta delta;
  delta.text = std::move(text);
  delta.tokens = std::exchange(unreported_, 0);
  delta.finish = reason;
  delta.usage = Usage{prompt_tokens(), generated(), reused, 0};
  asked_.outlet->push(std::move(delta));
  asked_.outlet->finish();
}

}  // namespace spillway::local
