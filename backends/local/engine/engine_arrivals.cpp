// How sequences come to the scheduler, and who of them waits until another has read its prompt.
#include "backends/local/engine/engine.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

namespace {

// Rows of logits that one sequence gets in a step, where it wants one for each token of its prompt.
constexpr int kScoredFloats = 16 << 20;
constexpr int kScoredTokensLeast = 16;

}  // namespace

void Engine::take_in(std::vector<NewSequence> arrivals) {
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
