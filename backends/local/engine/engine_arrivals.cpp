// How answers come into the engine: those that are asked for together stay together.
#include "backends/local/engine/choice_outlet.h"
#include "backends/local/engine/engine.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

namespace {

// Rows of logits that one sequence gets in a step, where it wants one for each token of its prompt.
constexpr int kScoredFloats = 16 << 20;
constexpr int kScoredTokensLeast = 16;

Error takes_no_form() {
  return {Errc::unsupported, "this engine cannot hold an answer to a form", "", std::nullopt};
}

Error does_not_fit(const Form& form) {
  return {Errc::backend_unavailable,
          "the answer so far does not fit what '" + form.field + "' asks for", "", std::nullopt};
}

bool is_abandoned(const std::vector<NewSequence>& sequences) {
  return sequences.front().outlet->abandoned();
}

}  // namespace

Result<std::shared_ptr<Bridge>> Engine::submit(Ask ask, boost::asio::any_io_executor consumer) {
  std::shared_ptr<Bridge> bridge;
  const auto submitted = submit(std::move(ask), [&](std::function<void()> on_room) {
    bridge =
        std::make_shared<Bridge>(std::move(consumer), limits_.bridge_capacity, std::move(on_room));
    return bridge;
  });
  if (!submitted) return submitted.error();
  return bridge;
}

Result<void> Engine::submit(Ask ask, const MakeOutlet& make_outlet) {
  const auto form = std::move(ask.form);
  const auto begun = std::move(ask.begun);
  auto sequences = sequences_of(std::move(ask), make_outlet);
  if (!form) return inbox_->submit(std::move(sequences));
  if (!workshop_) {
    inbox_->refuse(static_cast<int>(sequences.size()));
    return takes_no_form();
  }
  // Answers must be copyable.
  auto held = std::make_shared<std::vector<NewSequence>>(std::move(sequences));
  workshop_->ask(
      form, held->front().owner,
      [this, held, form, begun](Result<std::shared_ptr<const grammar::Grammar>> grammar) {
        hand_in(std::move(*held), *form, begun, std::move(grammar));
      });
  return {};
}

// One a choice. All but the first wait until that has read the prompt, which they find in the
// cache.
std::vector<NewSequence> Engine::sequences_of(Ask ask, const MakeOutlet& make_outlet) {
  const auto choices = static_cast<SequenceId>(ask.choices);
  const SequenceId first = next_id_.fetch_add(choices, std::memory_order_relaxed);
  NewSequence sequence;
  sequence.prompt = std::move(ask.prompt);
  sequence.sampling = std::move(ask.sampling);
  sequence.tokens_max = ask.tokens_max;
  sequence.lane = ask.lane;
  sequence.cached_tokens = cached_tokens(ask.owner, *sequence.prompt);
  sequence.owner = std::move(ask.owner);
  auto outlets = divide(make_outlet([inbox = inbox_, first, choices] {
                          for (SequenceId id = first; id < first + choices; ++id) inbox->ring(id);
                        }),
                        ask.choices);
  std::vector<NewSequence> sequences;
  for (SequenceId id = first; id < first + choices; ++id) {
    sequence.id = id;
    sequence.outlet = std::move(outlets[id - first]);
    sequences.push_back(sequence);
    sequence.leader = limits_.prefix_cache ? first : 0;
    sequence.cached_tokens = limits_.prefix_cache ? findable_tokens(*sequence.prompt) : 0;
    sequence.sampling.scores_prompt = false;  // Once is enough.
    if (sequence.sampling.seed) ++*sequence.sampling.seed;
  }
  return sequences;
}

void Engine::hand_in(std::vector<NewSequence> sequences, const Form& form, std::string_view begun,
                     Result<std::shared_ptr<const grammar::Grammar>> grammar) {
  const auto outlet = sequences.front().outlet;
  const SequenceId first = sequences.front().id;
  const auto count = sequences.size();
  Result<void> done;
  if (!grammar) done = grammar.error();
  for (std::size_t i = 0; done && i < count; ++i) {
    auto matcher = (*grammar)->match();
    const bool fits = matcher->accept(begun);
    sequences[i].form = std::make_shared<FormProgress>(std::move(matcher));
    if (!fits || grammar::is_empty(sequences[i].form->allowed())) done = does_not_fit(form);
  }
  if (!done || is_abandoned(sequences)) {
    inbox_->refuse(static_cast<int>(count));
  } else {
    done = inbox_->submit(std::move(sequences));
  }
  if (!done) outlet->fail(done.error());
  // Who left before it was handed in rang for nothing.
  for (SequenceId id = first; outlet->abandoned() && id < first + count; ++id) inbox_->ring(id);
}

void Engine::admit(std::vector<NewSequence> arrivals) {
  for (NewSequence& arrival : arrivals) {
    const SequenceId id = arrival.id;
    auto sequence = std::make_unique<Sequence>(std::move(arrival), codec_, seed_ + id);
    scheduler_.add(id, sequence->prompt_tokens(), sequence->lane(), sequence->tokens_max(),
                   limits_.prefix_cache ? sequence.get() : nullptr);
    if (sequence->scores_prompt()) {  // What is found in the cache has no logits.
      const int rows = kScoredFloats / std::max(1, executor_->shape().vocabulary);
      scheduler_.compute_all(id, std::max(kScoredTokensLeast, rows));
    }
    sequence->awaits_leader = sequences_.contains(sequence->leader());
    if (sequence->awaits_leader) scheduler_.pause(id, true);
    sequences_.emplace(id, std::move(sequence));
  }
}

// It has read the prompt, or is over.
void Engine::let_follow(SequenceId leader) {
  for (const auto& [id, sequence] : sequences_) {
    if (!sequence->awaits_leader || sequence->leader() != leader) continue;
    sequence->awaits_leader = false;
    scheduler_.pause(id, sequence->is_held());
  }
}

}  // namespace spillway::local
