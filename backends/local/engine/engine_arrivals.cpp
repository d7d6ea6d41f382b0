// How sequences come to the scheduler, and who of them waits until another has read its prompt.
#include "backends/local/engine/engine.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

namespace {

constexpr int kScoredFloats = 16 << 20;
constexpr int kScoredTokensLeast = 16;

// Of a step, for prompts that want a row of logits for each of their tokens.
int scored_rows_max(const ExecutorShape& shape) {
  if (shape.scored_rows_max > 0) return shape.scored_rows_max;
  return std::max(kScoredTokensLeast, kScoredFloats / std::max(1, shape.vocabulary));
}

}  // namespace

void Engine::take_in(std::vector<NewSequence> arrivals) {
  for (NewSequence& arrival : arrivals) {
    const SequenceId id = arrival.id;
    auto sequence =
        std::make_unique<Sequence>(std::move(arrival), codec_, seed_ + id, limits_.drafts);
    scheduler_.add(id, sequence->prompt_tokens(), sequence->lane(), sequence->tokens_max(),
                   limits_.prefix_cache ? sequence.get() : nullptr);
    if (sequence->scores_prompt()) {  // What is found in the cache has no logits.
      scheduler_.compute_all(id, scored_rows_max(executor_->shape()));
    }
    sequence->awaits_leader = sequences_.contains(sequence->leader());
    if (sequence->awaits_leader) scheduler_.pause(id, true);
    sequences_.emplace(id, std::move(sequence));
  }
}

bool Engine::take_more(Lane lane) {
  auto next = source_->next(lane, [this](const NewSequence& sequence) {
    return scheduler_.has_room(sequence.owner, *sequence.prompt);
  });
  if (next.empty()) return false;
  take_in(std::move(next));
  return true;
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
