#include "backends/contract/dealing.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace spillway {
namespace {

// KV room is given out in blocks of so many tokens.
constexpr int kBlockTokens = 16;

// Of an answer, as far as it counts for where it is made: most end by then.
constexpr int kAnswerTokens = 256;

int prompt_tokens(const SequenceStatus& sequence) {
  return sequence.prefill_left + sequence.context_tokens;
}

// Of its whole prompt, in whole blocks.
int kv_tokens(const SequenceStatus& sequence) {
  return (prompt_tokens(sequence) + kBlockTokens - 1) / kBlockTokens * kBlockTokens;
}

double answer_tokens(const SequenceStatus& sequence) {
  return std::clamp(sequence.tokens_max - sequence.generated, 1, kAnswerTokens);
}

// Those who wait for whichever engine comes first. In the picture of all they stand, lane by lane,
// behind those who wait for their own, having lost their KV blocks there.
std::vector<SequenceStatus> unbound(const EngineStatus& engine) {
  std::map<Lane, int> bound;
  for (const EngineStatus& one : engine.replicas) {
    for (const SequenceStatus& sequence : one.waiting) bound[sequence.lane] += one.ready ? 1 : 0;
  }
  std::vector<SequenceStatus> unbound;
  for (const SequenceStatus& sequence : engine.waiting) {
    if (bound[sequence.lane]-- <= 0) unbound.push_back(sequence);
  }
  return unbound;
}

int cached_at(std::size_t engine, std::span<const int> cached) {
  return engine < cached.size() ? cached[engine] : 0;
}

}  // namespace

Dealing::Dealing(std::span<const EngineStatus> engines) {
  loads_.reserve(engines.size());
  for (const EngineStatus& engine : engines) {
    Load load;
    load.ready = engine.ready;
    load.places_total = std::max(1, engine.sequences_max);
    load.places = engine.sequences_max;
    load.kv_tokens_free = engine.kv_tokens_free;
    load.step = engine.step;
    int decoding = 0;
    double context = 0.0;
    for (const SequenceStatus& sequence : engine.running) {
      load.unread += sequence.prefill_left;
      load.context += prompt_tokens(sequence);
      decoding += sequence.prefill_left > 0 ? 0 : 1;
      context += sequence.prefill_left > 0 ? 0 : sequence.context_tokens;
    }
    load.running = static_cast<int>(engine.running.size());
    load.places -= load.running;
    if (engine.step_elapsed != 0.0 && load.running > 0) {
      const int prompts = engine.budget.prompt_tokens(engine.step, decoding, context);
      const double step =
          engine.step.seconds(decoding, context, std::min<double>(load.unread, prompts));
      load.step_left = std::max(0.0, step - engine.step_elapsed);
    }
    loads_.push_back(load);
    // Those who wait for it alone had a place there before, and come first.
    for (const SequenceStatus& sequence : engine.waiting) give(loads_.size() - 1, sequence);
    if (!engine.waiting.empty()) loads_.back().places = std::min(loads_.back().places, 0);
  }
}

bool Dealing::can_take(std::size_t engine, const SequenceStatus& sequence) const {
  const Load& load = loads_[engine];
  const int in_hand = load.running * kBlockTokens;  // A block for each that runs, to grow.
  return load.ready && load.places > 0 && kv_tokens(sequence) + in_hand <= load.kv_tokens_free;
}

double Dealing::cost(std::size_t engine, const SequenceStatus& sequence, int cached) const {
  const Load& load = loads_[engine];
  const StepModel& step = load.step;
  const double answer = answer_tokens(sequence);
  const double beside = step.per_sequence * load.running + step.per_context_token * load.context;
  const double unread = load.unread + prompt_tokens(sequence) - cached;
  double seconds = load.step_left + step.per_prefill_token * unread + answer * beside;
  if (load.places <= 0) {
    const double turns = static_cast<double>(1 - load.places) / load.places_total;
    seconds += turns * answer * (step.base + beside);
  }
  return seconds;
}

void Dealing::give(std::size_t engine, const SequenceStatus& sequence, int cached) {
  Load& load = loads_[engine];
  --load.places;
  ++load.running;
  load.kv_tokens_free -= kv_tokens(sequence);
  load.unread += prompt_tokens(sequence) - cached;
  load.context += prompt_tokens(sequence);
}

std::optional<std::size_t> Dealing::cheapest(const SequenceStatus& sequence,
                                             std::span<const int> cached, bool now) const {
  std::optional<std::size_t> best;
  auto least = std::pair(0.0, 0);  // Where both cost the same, the one with fewer to run.
  for (std::size_t engine = 0; engine < loads_.size(); ++engine) {
    if (!loads_[engine].ready || (now && !can_take(engine, sequence))) continue;
    const auto price =
        std::pair(cost(engine, sequence, cached_at(engine, cached)), loads_[engine].running);
    if (best && price >= least) continue;
    best = engine;
    least = price;
  }
  return best;
}

std::optional<std::size_t> Dealing::taker(const SequenceStatus& sequence,
                                          std::span<const int> cached) const {
  return cheapest(sequence, cached, true);
}

std::size_t Dealing::next(const SequenceStatus& sequence, std::span<const int> cached) const {
  if (const auto now = taker(sequence, cached)) return *now;
  return cheapest(sequence, cached, false).value_or(0);
}

EngineStatus next_engine(const EngineStatus& engine) {
  Dealing dealing(engine.replicas);
  const std::vector<SequenceStatus> waiting = unbound(engine);
  std::vector<std::size_t> dealt;
  for (const SequenceStatus& sequence : waiting) {
    dealt.push_back(dealing.next(sequence));
    dealing.give(dealt.back(), sequence, sequence.context_tokens);
  }
  const std::size_t own = dealing.next({.prefill_left = 1, .tokens_max = kAnswerTokens});
  EngineStatus next = engine.replicas[own];
  next.ready = engine.ready;
  for (std::size_t i = 0; i < dealt.size(); ++i) {
    if (dealt[i] == own) queue_up(next.waiting, waiting[i]);
  }
  return next;
}

}  // namespace spillway
