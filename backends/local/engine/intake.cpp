#include "backends/local/engine/intake.h"

#include "backends/local/engine/choice_outlet.h"
#include "backends/local/engine/executor.h"
#include "backends/local/grammar/served_compiler.h"

#include <utility>

namespace spillway::local {

namespace {

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

Intake::Intake(const EngineDoor& door, std::shared_ptr<Entrance> entrance, const TextCodec& codec,
               bool prefix_cache, const std::optional<process::Program>& form_server)
    : door_(door), entrance_(std::move(entrance)), prefix_cache_(prefix_cache) {
  if (!door.status().holds_forms) return;
  auto compiler = form_server ? grammar::make_served_compiler(codec.vocabulary(), *form_server)
                              : grammar::make_compiler(codec.vocabulary());
  workshop_ = std::make_unique<grammar::Workshop>(std::move(compiler));
}

Result<std::shared_ptr<Bridge>> Intake::submit(Ask ask, boost::asio::any_io_executor consumer,
                                               std::size_t bridge_capacity) {
  std::shared_ptr<Bridge> bridge;
  const auto submitted = submit(std::move(ask), [&](std::function<void()> on_room) {
    bridge = std::make_shared<Bridge>(std::move(consumer), bridge_capacity, std::move(on_room));
    return bridge;
  });
  if (!submitted) return submitted.error();
  return bridge;
}

Result<void> Intake::submit(Ask ask, const MakeOutlet& make_outlet) {
  const auto form = std::move(ask.form);
  const auto begun = std::move(ask.begun);
  auto sequences = sequences_of(std::move(ask), make_outlet);
  if (!form) return entrance_->submit(std::move(sequences));
  if (!workshop_) {
    entrance_->refuse(static_cast<int>(sequences.size()));
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

// One an answer, those to a prompt one after another.
std::vector<NewSequence> Intake::sequences_of(Ask ask, const MakeOutlet& make_outlet) {
  const auto answers = static_cast<SequenceId>(ask.answers());
  const SequenceId first = next_id_.fetch_add(answers, std::memory_order_relaxed);
  const auto ring_all = [entrance = entrance_, first, answers] {
    for (SequenceId id = first; id < first + answers; ++id) entrance->ring(id);
  };
  auto outlets = divide(make_outlet(ring_all), ask.answers(), ask.choices, ring_all);
  std::vector<NewSequence> sequences;
  for (std::size_t i = 0; i < ask.prompts->size(); ++i) add_choices(ask, i, first, sequences);
  for (std::size_t i = 0; i < sequences.size(); ++i) sequences[i].outlet = std::move(outlets[i]);
  return sequences;
}

// Of one prompt. All but the first wait until that has read it, and find it in the cache.
void Intake::add_choices(const Ask& ask, std::size_t which, SequenceId first,
                         std::vector<NewSequence>& sequences) const {
  NewSequence sequence;
  sequence.prompt = {ask.prompts, &(*ask.prompts)[which]};
  sequence.sampling = ask.sampling;
  sequence.tokens_max = ask.tokens_max;
  sequence.lane = ask.lane;
  sequence.cached_tokens = door_.cached_tokens(ask.owner, *sequence.prompt);
  sequence.owner = ask.owner;
  const SequenceId leader = first + sequences.size();
  for (int choice = 0; choice < ask.choices; ++choice) {
    sequence.id = first + sequences.size();
    sequences.push_back(sequence);
    sequence.leader = prefix_cache_ ? leader : 0;
    sequence.cached_tokens = prefix_cache_ ? findable_tokens(*sequence.prompt) : 0;
    sequence.sampling.scores_prompt = false;  // Once is enough.
    sequence.sampling.prompt_logprobs.reset();
    if (sequence.sampling.seed) ++*sequence.sampling.seed;
  }
}

void Intake::hand_in(std::vector<NewSequence> sequences, const Form& form, std::string_view begun,
                     Result<std::shared_ptr<const grammar::Grammar>> grammar) {
  const auto outlet = sequences.front().outlet;
  const SequenceId first = sequences.front().id;
  const auto count = sequences.size();
  Result<void> done;
  if (!grammar) done = grammar.error();
  for (std::size_t i = 0; done && i < count; ++i) {
    sequences[i].form =
        std::make_shared<FormProgress>(*grammar, std::string(begun), sequences[i].owner);
    if (sequences[i].form->takes_too_long()) {
      done = takes_too_long_to_follow(form.field);
    } else if (sequences[i].form->allowed().empty()) {
      done = does_not_fit(form);
    }
  }
  if (!done || is_abandoned(sequences)) {
    entrance_->refuse(static_cast<int>(count));
  } else {
    done = entrance_->submit(std::move(sequences));
  }
  if (!done) outlet->fail(done.error());
  // Who left before it was handed in rang for nothing.
  for (SequenceId id = first; outlet->abandoned() && id < first + count; ++id) entrance_->ring(id);
}

}  // namespace spillway::local
