#include "gateway/policy/predict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

namespace spillway::policy {
namespace {

// KV room is given out in blocks of so many tokens.
constexpr double kBlockTokens = 16.0;

double whole_blocks(double tokens) { return std::ceil(tokens / kBlockTokens) * kBlockTokens; }

// Of a number that is not negative; std::llround is a call, and there are hundreds.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(value + 0.5); }

// A decoding sequence, by the step after which it is gone.
struct Ending {
  std::int64_t after_step = 0;
  double context_then = 0.0;
};

bool ends_later(const Ending& a, const Ending& b) { return a.after_step > b.after_step; }

// Steps until a sequence ends: its limit if nothing is known of answers' length, else what is
// typical. One that has outlived most of that is expected to go on for half of it, as lengths have
// a long tail.
std::int64_t tokens_left(const SequenceStatus& sequence, double typical) {
  const double most = sequence.tokens_max - sequence.generated;
  const double likely = std::max(typical - sequence.generated, typical / 2.0);
  return std::max<std::int64_t>(1, rounded(typical > 0.0 ? std::min(most, likely) : most));
}

// The engine's future. Sequences still in their prompt form one line: the running ones, then the
// waiting ones, then the request itself; `head_` is served, those before `admitted_` hold a slot.
class Simulation {
 public:
  Simulation(const EngineStatus& engine, const Ask& ask, double horizon);

  Prediction run();

 private:
  std::size_t line_size() const { return engine_.running.size() + engine_.waiting.size() + 1; }
  SequenceStatus in_line(std::size_t at) const;
  bool decodes(std::size_t at) const;
  void skip_decoding();

  void finish_step_in_progress();
  bool admit_next();
  bool advance();
  void advance_whole_steps(std::int64_t steps, int prompt_tokens);
  void step_with_prompts(int budget, bool newcomers);
  void begin_decoding(const SequenceStatus& sequence);
  void pass(std::int64_t steps, double prefill_tokens);
  void end_sequences();
  std::int64_t steps_to_next_ending() const;
  std::int64_t tokens_after_first() const;
  double seconds_of_step(double prefill_tokens) const;

  struct Backlog {
    double prompt_tokens = 0.0;
    double answer_tokens = 0.0;
  };
  Backlog count_backlog() const;
  void extrapolate();
  void run_to_finish();

  const EngineStatus& engine_;
  const Ask& ask_;
  const double horizon_;

  std::array<std::byte, 512 * sizeof(Ending)> memory_;
  std::pmr::monotonic_buffer_resource pool_{memory_.data(), memory_.size()};
  std::pmr::vector<Ending> endings_{&pool_};  // A heap, the earliest first.

  double now_ = 0.0;
  std::int64_t step_ = 0;
  int decoding_ = 0;
  double context_ = 0.0;  // Of the decoding sequences.
  int slots_free_ = 0;
  double kv_free_ = 0.0;

  std::size_t head_ = 0;
  int head_done_ = 0;  // Prompt tokens of the head that are through.
  std::size_t admitted_ = 0;
  Prediction result_;
};

Simulation::Simulation(const EngineStatus& engine, const Ask& ask, double horizon)
    : engine_(engine), ask_(ask), horizon_(horizon) {
  endings_.reserve(std::max<std::size_t>(
      engine.running.size() + 1, static_cast<std::size_t>(std::max(1, engine.sequences_max))));
  for (const SequenceStatus& sequence : engine.running) {
    if (sequence.prefill_left > 0) continue;
    const std::int64_t left = tokens_left(sequence, ask.typical_tokens);
    endings_.push_back({left, static_cast<double>(sequence.context_tokens + left)});
    context_ += sequence.context_tokens;
    ++decoding_;
  }
  std::make_heap(endings_.begin(), endings_.end(), ends_later);
  slots_free_ = engine.sequences_max - static_cast<int>(engine.running.size());
  kv_free_ = engine.kv_tokens_free;
  admitted_ = engine.running.size();
  skip_decoding();
}

SequenceStatus Simulation::in_line(std::size_t at) const {
  const std::size_t running = engine_.running.size();
  if (at < running) return engine_.running[at];
  if (at - running < engine_.waiting.size()) return engine_.waiting[at - running];
  return {.prefill_left = std::max(1, ask_.prompt_tokens)};
}

bool Simulation::decodes(std::size_t at) const {
  return at < engine_.running.size() && engine_.running[at].prefill_left <= 0;
}

void Simulation::skip_decoding() {
  while (decodes(head_)) ++head_;
}

Prediction Simulation::run() {
  if (ask_.prompt_tokens > engine_.kv_tokens_total) {
    result_.queue = result_.ttft_model = kNoHorizon;
    return result_;
  }
  finish_step_in_progress();
  while (head_ < line_size()) {
    if (advance() && now_ <= horizon_) continue;
    extrapolate();
    return result_;
  }
  result_.ttft_model = now_;
  run_to_finish();
  return result_;
}

// The step under way was made before the newcomers came; only what is left of its time still
// passes.
void Simulation::finish_step_in_progress() {
  if (engine_.running.empty() || engine_.step_elapsed <= 0.0) return;
  const int budget = std::max(0, engine_.step_tokens_max - decoding_);
  step_with_prompts(budget, false);
  now_ = std::max(0.0, now_ - engine_.step_elapsed);
}

// The next in line gets a slot, if there is one and KV room for it and for a block more for
// everybody who runs.
bool Simulation::admit_next() {
  if (admitted_ == line_size() || slots_free_ <= 0) return false;
  const double room = whole_blocks(in_line(admitted_).prefill_left);
  const int running = engine_.sequences_max - slots_free_;
  if (room + running * kBlockTokens > kv_free_) return false;
  kv_free_ -= room;
  --slots_free_;
  if (admitted_ == engine_.running.size()) result_.queue_moves = now_;
  ++admitted_;
  if (admitted_ == line_size()) result_.queue = now_;
  return true;
}

// On to the next moment at which something changes. False: nothing ever will.
bool Simulation::advance() {
  const int budget = std::max(0, engine_.step_tokens_max - decoding_);
  const bool prompts = budget > 0 && (head_ < admitted_ || admit_next());
  if (!prompts) {
    if (endings_.empty()) return false;
    advance_whole_steps(steps_to_next_ending(), 0);
    return true;
  }
  const int left = in_line(head_).prefill_left - head_done_;
  if (left <= budget) {
    step_with_prompts(budget, true);
    return true;
  }
  std::int64_t whole = (left - 1) / budget;
  if (!endings_.empty()) whole = std::min(whole, steps_to_next_ending());
  advance_whole_steps(whole, budget);
  return true;
}

void Simulation::advance_whole_steps(std::int64_t steps, int prompt_tokens) {
  head_done_ += static_cast<int>(steps * prompt_tokens);
  pass(steps, prompt_tokens);
  end_sequences();
}

// One step in which at least one prompt ends, or in which the budget is spread over several.
void Simulation::step_with_prompts(int budget, bool newcomers) {
  const std::size_t first = head_;
  int spent = 0;
  while (spent < budget && (head_ < admitted_ || (newcomers && admit_next()))) {
    const int left = in_line(head_).prefill_left - head_done_;
    const int chunk = std::min(left, budget - spent);
    spent += chunk;
    head_done_ += chunk;
    if (chunk < left) break;
    ++head_;
    head_done_ = 0;
    skip_decoding();
  }
  pass(1, spent);
  const std::size_t others_end = std::min(head_, line_size() - 1);
  for (std::size_t i = first; i < others_end; ++i) {
    if (!decodes(i)) begin_decoding(in_line(i));
  }
  end_sequences();
}

void Simulation::begin_decoding(const SequenceStatus& sequence) {
  SequenceStatus begun = sequence;
  begun.context_tokens += sequence.prefill_left;
  // Its prompt's last step has just given it a token.
  const std::int64_t left = tokens_left(begun, ask_.typical_tokens) - 1;
  endings_.push_back({step_ + left, static_cast<double>(begun.context_tokens + left)});
  std::push_heap(endings_.begin(), endings_.end(), ends_later);
  context_ += begun.context_tokens;
  ++decoding_;
}

// `steps` steps in which the same sequences decode and `prefill_tokens` prompt tokens each are
// read.
void Simulation::pass(std::int64_t steps, double prefill_tokens) {
  const double n = static_cast<double>(steps);
  const double grown = decoding_ * n * (n - 1.0) / 2.0;
  now_ += n * seconds_of_step(prefill_tokens) + engine_.step.per_context_token * grown;
  context_ += n * decoding_;
  kv_free_ -= n * decoding_;
  step_ += steps;
}

void Simulation::end_sequences() {
  while (!endings_.empty() && endings_.front().after_step <= step_) {
    const double context = endings_.front().context_then;
    std::pop_heap(endings_.begin(), endings_.end(), ends_later);
    endings_.pop_back();
    --decoding_;
    ++slots_free_;
    context_ -= context;
    kv_free_ += whole_blocks(context);
  }
}

std::int64_t Simulation::steps_to_next_ending() const {
  return endings_.front().after_step - step_;
}

std::int64_t Simulation::tokens_after_first() const {
  return rounded(std::max(1.0, ask_.completion_tokens)) - 1;
}

// A decoding sequence's own new token is part of the context that it looks at.
double Simulation::seconds_of_step(double prefill_tokens) const {
  return engine_.step.seconds(decoding_, context_ + decoding_, prefill_tokens);
}

// Past the horizon the line moves at the pace of its narrowest place: the prompts' token budget, or
// the slots.
void Simulation::extrapolate() {
  result_.exact = false;
  const Backlog backlog = count_backlog();
  const double budget = std::max(1, engine_.step_tokens_max - decoding_);
  const double by_budget = backlog.prompt_tokens / budget;
  const double by_slots = backlog.answer_tokens / std::max(1, engine_.sequences_max);
  const double steps = std::max({1.0, by_budget, by_slots});
  const double step_time = seconds_of_step(backlog.prompt_tokens / steps);
  const double own_steps = std::max(1.0, ask_.prompt_tokens / budget);
  result_.ttft_model = now_ + steps * step_time;
  result_.per_token = seconds_of_step(0.0);
  result_.finish = static_cast<double>(tokens_after_first()) * result_.per_token;
  if (admitted_ == line_size()) return;
  result_.queue = std::max(now_, result_.ttft_model - own_steps * step_time);
  if (result_.queue_moves == 0.0) result_.queue_moves = now_;
}

// What is in the way: prompt tokens of the line, and answers of those who have no slot yet.
Simulation::Backlog Simulation::count_backlog() const {
  Backlog backlog;
  backlog.prompt_tokens = std::max(1, ask_.prompt_tokens) - head_done_;
  const std::size_t running = engine_.running.size();
  for (std::size_t i = head_; i < running; ++i) {
    backlog.prompt_tokens += engine_.running[i].prefill_left;
  }
  const double typical = ask_.typical_tokens > 0.0 ? ask_.typical_tokens : kNoHorizon;
  const std::size_t first = std::max(head_, running) - running;
  const std::size_t first_without_slot = admitted_ - running;
  for (std::size_t i = first; i < engine_.waiting.size(); ++i) {
    const SequenceStatus& sequence = engine_.waiting[i];
    backlog.prompt_tokens += sequence.prefill_left;
    if (i < first_without_slot) continue;
    const double most = sequence.tokens_max - sequence.generated;
    backlog.answer_tokens += std::min(most, typical);
  }
  return backlog;
}

// After its first token nobody is left in its way; the batch shrinks as others end.
void Simulation::run_to_finish() {
  const double first_token = now_;
  const std::int64_t further = tokens_after_first();
  ++decoding_;
  context_ += ask_.prompt_tokens;
  std::int64_t left = std::max<std::int64_t>(1, further);
  while (left > 0) {
    const std::int64_t steps = endings_.empty() ? left : std::min(left, steps_to_next_ending());
    pass(steps, 0.0);
    end_sequences();
    left -= steps;
  }
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
