// One answer in the making: its tokens, how the next is chosen, and its way out to the client.
//
// Engine thread only. Turns ids into Deltas: decodes them to whole characters, holds back what may
// become a stop string, and knows when the answer is over. What is told of a token comes with its
// text. Guesses how it goes on, unless it is held to a form. Owns its end of the Outlet.
#pragma once

#include "backends/local/engine/inbox.h"
#include "backends/local/engine/text_codec.h"
#include "backends/local/sample/logprobs.h"
#include "backends/local/sample/ngram_drafter.h"
#include "backends/local/sample/sampler.h"
#include "backends/local/sample/stop_matcher.h"
#include "backends/local/sched/scheduler.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace spillway::local {

class Sequence final : public SequenceText {
 public:
  // `codec` must outlive the sequence. `seed` is used where the request gives none.
  Sequence(NewSequence asked, const TextCodec& codec, std::uint64_t seed, DraftLimits drafts = {});

  SequenceId id() const { return asked_.id; }
  int prompt_tokens() const { return static_cast<int>(asked_.prompt->size()); }
  int generated() const { return sampler_.generated(); }
  int tokens_max() const { return asked_.tokens_max; }
  Lane lane() const { return asked_.lane; }

  // Prompt and what was generated, in order.
  std::span<const std::int32_t> tokens() const override { return std::span(tokens_).first(known_); }
  std::string_view owner() const override { return asked_.owner; }
  const SequenceSampler& sampler() const { return sampler_; }

  // And behind them the drafts.
  std::span<const std::int32_t> drafted_tokens() const { return tokens_; }

  // Drafts as many tokens as are worth it (NgramDrafter::worth). How many there are.
  int draft(double cost);

  // Whether the next token was drafted so.
  bool is_drafted(std::int32_t token) const {
    return known_ < tokens_.size() && tokens_[known_] == token;
  }

  // It took so much of a step; told with its next piece, or with one that says nothing else.
  void took(std::chrono::nanoseconds time) { untold_time_ += time; }
  void tell_time();

  // Takes the next token, scored if that is asked for: pushes its text, and the end of the answer
  // if this is it. True if it was.
  bool accept(std::int32_t token, std::optional<ScoredToken> scored);

  // Whether its prompt's tokens are to be scored,
  bool scores_prompt() const { return likeliest_of_prompt(asked_.sampling).has_value(); }
  // …and those behind this position have not been.
  bool is_scored_from(int position) const {
    return scores_prompt() && position < prompt_tokens() && position >= prompt_scored_;
  }
  // Of those behind `position`; of the very first of all, too.
  void tell_prompt(int position, std::vector<ScoredToken> scored);

  // Who reads the prompt before it; 0: nobody.
  SequenceId leader() const { return asked_.leader; }

  // What it is held to; null: nothing. The token that was accepted last is to be followed there.
  const std::shared_ptr<FormProgress>& form() const { return asked_.form; }

  // Takes over what the form lets follow. False: nothing. Requires: form()->known().
  bool heed_form();

  // Ends the answer with an error.
  void fail(Error error) { asked_.outlet->fail(std::move(error)); }

  bool abandoned() const { return asked_.outlet->abandoned(); }
  bool outlet_full() { return asked_.outlet->full(); }

  int reused = 0;  // Tokens of its prompt that had not to be read; the engine sets it.

  // Since when it waits for its client to read; the engine sets it.
  std::optional<TimePoint> parked_since;

  // It is out of the batch until its form is known, or its leader has read the prompt; the engine
  // sets them.
  bool awaits_form = false;
  bool awaits_leader = false;
  bool is_held() const { return parked_since || awaits_form || awaits_leader; }

 private:
  bool is_end(std::int32_t token) const;
  void append(std::int32_t token);
  void note(ScoredToken scored);
  Delta piece(std::string text);
  void push_text(std::string text);
  void push_end(std::string text, FinishReason reason);

  const NewSequence asked_;
  const TextCodec& codec_;
  SequenceSampler sampler_;
  StopMatcher stops_;
  std::unique_ptr<TextStream> text_;
  std::vector<std::int32_t> tokens_;
  std::size_t known_ = 0;                // Of these, the first; the others are drafts.
  std::optional<NgramDrafter> drafter_;  // Null: nothing is guessed.
  std::chrono::nanoseconds untold_time_{};
  int unreported_ = 0;                    // Tokens whose text is still held back,
  std::vector<ScoredToken> scored_;       // …what is told of them,
  std::vector<std::size_t> scored_from_;  // …and where in the answer the text of each begins.
  std::size_t said_ = 0;                  // Bytes of the answer, held back or not,
  std::size_t shown_ = 0;                 // …and pushed.
  int prompt_scored_ = 0;                 // Positions behind which the prompt's tokens are told.
};

}  // namespace spillway::local
