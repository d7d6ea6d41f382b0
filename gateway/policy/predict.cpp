#include "gateway/policy/predict.h"

#include "gateway/policy/endings.h"
#include "gateway/policy/prompt_line.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <vector>

namespace spillway::policy {
namespace {

constexpr double kBlockTokens = Endings::kBlockTokens;
constexpr std::int64_t kNoEnd = Endings::kNever;

// Both of numbers that are not negative; std::ceil and std::llround are calls, and there are
// hundreds.
double whole_blocks(double tokens) {
  const double blocks = static_cast<double>(static_cast<std::int64_t>(tokens / kBlockTokens));
  return (blocks * kBlockTokens < tokens ? blocks + 1.0 : blocks) * kBlockTokens;
}

std::int64_t rounded(double value) { return static_cast<std::int64_t>(value + 0.5); }

// How long the answers of a batch last: quantiles at the middles of 32 equal shares, as exposures
// of Remaining. They are dealt to a batch in turn, the middle first, so that it ends one by one as
// a real one does, and not all of it at its median.
constexpr std::array kSpread = {
    0.0157, 0.0480, 0.0813, 0.1158, 0.1515, 0.1886, 0.2271, 0.2671, 0.3087, 0.3522, 0.3977,
    0.4453, 0.4953, 0.5480, 0.6035, 0.6624, 0.7249, 0.7916, 0.8630, 0.9400, 1.0234, 1.1144,
    1.2144, 1.3257, 1.4508, 1.5939, 1.7610, 1.9617, 2.2130, 2.5494, 3.0603, 4.1589,
};
constexpr std::size_t kSpreadFirst = 16;
constexpr std::size_t kSpreadStep = 13;  // Neighbours get far ones.

// Steps until a sequence ends, at its limit at the latest.
std::int32_t tokens_left(const SequenceStatus& sequence, const Ask& ask, std::size_t place) {
  const double most = sequence.tokens_max - sequence.generated;
  const double exposure = kSpread[(kSpreadFirst + place * kSpreadStep) % kSpread.size()];
  const double likely = ask.remaining.tokens(sequence.generated, exposure);
  return std::max(1, static_cast<std::int32_t>(std::min(most, likely) + 0.5));
}

// The engine's future: one line of prompts a lane, the sequences that decode, and what is free.
class Simulation {
 public:
  Simulation(const EngineStatus& engine, const Ask& ask, double horizon);

  Prediction run();

 private:
  PromptLine& line(Lane lane) { return lane == Lane::foreground ? foreground_ : background_; }
  PromptLine& own_line() { return line(ask_.lane); }
  int prompt_budget() const;

  void finish_step_in_progress();
  bool can_read(PromptLine& line);
  bool admit_next(PromptLine& line);
  std::int64_t advance(std::int64_t steps_max);
  std::int64_t advance_whole_steps(std::int64_t steps, PromptLine* line, int prompt_tokens);
  void step_with_prompts(int budget, bool newcomers);
  int read_some(PromptLine& line, int budget, bool newcomers);
  void begin_decoding(const SequenceStatus& sequence);
  void pass(std::int64_t steps, double prefill_tokens);
  void end_sequences();
  std::int64_t tokens_after_first() const;
  double seconds_of_step(double prefill_tokens) const;
  void extrapolate();
  void run_to_finish();

  const EngineStatus& engine_;
  const Ask& ask_;
  const double horizon_;
  PromptLine foreground_;
  PromptLine background_;

  std::array<std::byte, 640 * 2 * sizeof(std::int64_t)> memory_;
  std::pmr::monotonic_buffer_resource pool_{memory_.data(), memory_.size()};
  Endings endings_;
  std::pmr::vector<SequenceStatus> read_{&pool_};  // Whose prompts ended in the step under way.

  double now_ = 0.0;
  StepSums steps_;  // Passed so far.
  std::int64_t step_ = 0;
  int decoding_ = 0;
  double context_ = 0.0;  // Of the decoding sequences.
  int slots_free_ = 0;
  double kv_free_ = 0.0;
  std::size_t begun_ = 0;
  Prediction result_;
};

int own_tokens(const Ask& ask, Lane lane) {
  return ask.lane == lane ? std::max(1, ask.prompt_tokens) : 0;
}

Simulation::Simulation(const EngineStatus& engine, const Ask& ask, double horizon)
    : engine_(engine),
      ask_(ask),
      horizon_(horizon),
      foreground_(engine, Lane::foreground, own_tokens(ask, Lane::foreground)),
      background_(engine, Lane::background, own_tokens(ask, Lane::background)),
      endings_(std::max(engine.running.size() + 1,
                        static_cast<std::size_t>(std::max(1, engine.sequences_max))),
               &pool_) {
  std::size_t place = 0;
  for (const SequenceStatus& sequence : engine.running) {
    if (sequence.prefill_left > 0) continue;
    const std::int32_t left = tokens_left(sequence, ask, place++);
    endings_.add(left, sequence.context_tokens + left);
    context_ += sequence.context_tokens;
    ++decoding_;
  }
  slots_free_ = engine.sequences_max - static_cast<int>(engine.running.size());
  kv_free_ = engine.kv_tokens_free;
}

Prediction Simulation::run() {
  if (ask_.prompt_tokens > engine_.kv_tokens_total) {
    result_.queue = result_.ttft_model = kNoHorizon;
    return result_;
  }
  finish_step_in_progress();
  while (!own_line().done()) {
    if (advance(kNoEnd) > 0 && now_ <= horizon_) continue;
    extrapolate();
    return result_;
  }
  result_.ttft_model = now_;
  result_.steps = steps_;
  run_to_finish();
  return result_;
}

// A decoding sequence's own new token is part of the context that it looks at.
int Simulation::prompt_budget() const {
  return engine_.budget.prompt_tokens(engine_.step, decoding_, context_ + decoding_);
}

// The step under way was made before the newcomers came; only what is left of its time still
// passes.
void Simulation::finish_step_in_progress() {
  if (engine_.running.empty() || engine_.step_elapsed == 0.0) return;
  step_with_prompts(prompt_budget(), false);
  result_.underway = std::min(now_, engine_.step_elapsed);
  now_ -= result_.underway;
}

bool Simulation::can_read(PromptLine& line) {
  return !line.done() && (line.head_is_admitted() || admit_next(line));
}

// The next in line gets a slot, if there is one, KV room for it and for a block more for everybody
// who runs, and nobody of the lane before it waits.
bool Simulation::admit_next(PromptLine& line) {
  if (line.all_admitted() || slots_free_ <= 0) return false;
  if (&line == &background_ && !foreground_.all_admitted()) return false;
  const bool is_own = line.next_is_own();
  const double answer = is_own ? ask_.completion_tokens : ask_.typical_tokens;
  const double reserved = engine_.kv_reserved ? answer : 0.0;
  const double room = whole_blocks(line.next_to_admit().prefill_left + reserved);
  const int running = engine_.sequences_max - slots_free_;
  if (room + running * kBlockTokens > kv_free_) return false;
  kv_free_ -= room;
  --slots_free_;
  const bool is_own_line = &line == &own_line();
  if (is_own_line && line.none_admitted_yet()) result_.queue_moves = now_;
  line.admit();
  if (is_own_line && line.all_admitted()) result_.queue = now_;
  return true;
}

// On to the next moment at which something changes, or by `steps_max`. The steps it took; 0 if
// nothing will ever change.
std::int64_t Simulation::advance(std::int64_t steps_max) {
  const int budget = prompt_budget();
  PromptLine* reading = nullptr;
  if (budget > 0 && can_read(foreground_)) reading = &foreground_;
  if (budget > 0 && reading == nullptr && can_read(background_)) reading = &background_;
  if (reading == nullptr) {
    if (endings_.empty() && steps_max == kNoEnd) return 0;
    return advance_whole_steps(steps_max, nullptr, 0);
  }
  const int left = reading->head_left();
  if (left <= budget) {
    step_with_prompts(budget, true);
    return 1;
  }
  // A budget in time changes with every step's context.
  const std::int64_t whole = engine_.budget.seconds_max > 0.0 ? 1 : (left - 1) / budget;
  return advance_whole_steps(std::min(whole, steps_max), reading, budget);
}

std::int64_t Simulation::advance_whole_steps(std::int64_t steps, PromptLine* line,
                                             int prompt_tokens) {
  if (!endings_.empty()) steps = std::min(steps, endings_.next() - step_);
  if (line != nullptr) line->read(static_cast<int>(steps * prompt_tokens));
  pass(steps, prompt_tokens);
  end_sequences();
  return steps;
}

// One step in which at least one prompt ends, or in which the budget is spread over several.
void Simulation::step_with_prompts(int budget, bool newcomers) {
  read_.clear();
  int tokens = read_some(foreground_, budget, newcomers);
  const int left = budget - tokens;
  const int free = tokens > 0 ? engine_.budget.left_in_tile(decoding_ + tokens) : left;
  tokens += read_some(background_, std::min(left, free), newcomers);
  if (own_line().done()) tokens = std::min(budget, tokens + ask_.following_tokens);
  pass(1, tokens);
  for (const SequenceStatus& sequence : read_) begin_decoding(sequence);
  end_sequences();
}

// The tokens that were read.
int Simulation::read_some(PromptLine& line, int budget, bool newcomers) {
  int spent = 0;
  while (spent < budget && !line.done()) {
    if (!line.head_is_admitted() && !(newcomers && admit_next(line))) break;
    const int left = line.head_left();
    const int chunk = std::min(left, budget - spent);
    spent += chunk;
    line.read(chunk);
    if (chunk < left) break;
    if (!line.head_is_own()) read_.push_back(line.head());
    line.pass_head();
  }
  return spent;
}

void Simulation::begin_decoding(const SequenceStatus& sequence) {
  SequenceStatus begun = sequence;
  begun.context_tokens += sequence.prefill_left;
  // Its prompt's last step has just given it a token.
  const std::int32_t left = tokens_left(begun, ask_, begun_++) - 1;
  endings_.add(step_ + left, begun.context_tokens + left);
  context_ += begun.context_tokens;
  ++decoding_;
}

// `steps` steps in which the same sequences decode and `prefill_tokens` prompt tokens each are
// read.
void Simulation::pass(std::int64_t steps, double prefill_tokens) {
  const double n = static_cast<double>(steps);
  const double grown = decoding_ * n * (n - 1.0) / 2.0;
  const StepSums sums{n, n * decoding_, n * (context_ + decoding_) + grown, n * prefill_tokens};
  now_ += engine_.step.seconds(sums);
  steps_ = steps_ + sums;
  context_ += n * decoding_;
  if (!engine_.kv_reserved) kv_free_ -= n * decoding_;
  step_ += steps;
}

void Simulation::end_sequences() {
  if (endings_.next() > step_) return;
  const Endings::Day gone = endings_.end(step_);
  decoding_ -= gone.sequences;
  slots_free_ += gone.sequences;
  context_ -= gone.context_tokens;
  kv_free_ += gone.blocks * kBlockTokens;
}

std::int64_t Simulation::tokens_after_first() const {
  return rounded(std::max(1.0, ask_.completion_tokens)) - 1;
}

double Simulation::seconds_of_step(double prefill_tokens) const {
  return engine_.step.seconds(decoding_, context_ + decoding_, prefill_tokens);
}

// Past the horizon the line moves at the pace of its narrowest place: the prompts' token budget, or
// the slots.
void Simulation::extrapolate() {
  result_.exact = false;
  PromptLine::Backlog backlog = own_line().backlog(ask_.typical_tokens);
  if (ask_.lane == Lane::background) {
    const PromptLine::Backlog ahead = foreground_.backlog(ask_.typical_tokens);
    backlog.prompt_tokens += ahead.prompt_tokens;
    backlog.answer_tokens += ahead.answer_tokens;
  }
  const double budget = std::max(1, prompt_budget());
  const double by_budget = backlog.prompt_tokens / budget;
  const double by_slots = backlog.answer_tokens / std::max(1, engine_.sequences_max);
  const double steps = std::max({1.0, by_budget, by_slots});
  const double step_time = seconds_of_step(backlog.prompt_tokens / steps);
  const double own_steps = std::max(1.0, ask_.prompt_tokens / budget);
  result_.ttft_model = now_ + steps * step_time;
  result_.steps = steps_ + StepSums{steps, steps * decoding_, steps * (context_ + decoding_),
                                    backlog.prompt_tokens};
  result_.per_token = seconds_of_step(0.0);
  result_.finish = static_cast<double>(tokens_after_first()) * result_.per_token;
  if (own_line().all_admitted()) return;
  result_.queue = std::max(now_, result_.ttft_model - own_steps * step_time);
  if (result_.queue_moves == 0.0) result_.queue_moves = now_;
}

// After its first token only the other lane's prompts are still read beside it; the batch shrinks
// as others end.
void Simulation::run_to_finish() {
  const double first_token = now_;
  const std::int64_t further = tokens_after_first();
  ++decoding_;
  context_ += ask_.prompt_tokens;
  std::int64_t left = std::max<std::int64_t>(1, further);
  while (left > 0) left -= advance(left);
  const double decoding_time = now_ - first_token;
  result_.per_token = decoding_time / static_cast<double>(std::max<std::int64_t>(1, further));
  result_.finish = further > 0 ? decoding_time : 0.0;
}

}  // namespace

Prediction predict(const EngineStatus& engine, const Ask& ask, double correction, double horizon) {
  Prediction prediction = Simulation(engine, ask, horizon).run();
  prediction.queue *= correction;
  prediction.queue_moves *= correction;
  prediction.ttft = prediction.ttft_model * correction;
  prediction.finish += prediction.ttft;
  return prediction;
}

}  // namespace spillway::policy
