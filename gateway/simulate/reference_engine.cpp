#include "gateway/simulate/reference_engine.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace spillway::simulate {

namespace {

constexpr double kPaceNews = 0.02;  // Of a step, in the pace that is told.

}  // namespace

ReferenceEngine::ReferenceEngine(const ReferenceEngineParams& params)
    : params_(params),
      cache_(params.prefix_cache_tokens / params.block_tokens),
      kv_free_(params.kv_tokens) {}

bool ReferenceEngine::fits(int prompt_tokens, int completion_tokens) const {
  return std::int64_t{prompt_tokens} + completion_tokens <= params_.kv_tokens;
}

void ReferenceEngine::hand_in(const EngineRequest& request, double now) {
  assert(request.prompt_tokens >= 1 && request.completion_tokens >= 1);
  assert(fits(request.prompt_tokens, request.completion_tokens));
  if (!in_step_ && !has_work()) step_begins_ = now;
  Lane& lane = lanes_[request.batch];
  const int saved = cached_tokens(request.prefix_ids, request.prompt_tokens);
  lane.line.push_back({request, request.prompt_tokens - saved});
  lane.tokens += lane.line.back().left;
}

bool ReferenceEngine::take_back(std::uint64_t id, bool batch) {
  Lane& lane = lanes_[batch];
  const auto prompt = std::find_if(lane.line.begin(), lane.line.end(),
                                   [id](const Prompt& one) { return one.request.id == id; });
  if (prompt == lane.line.end()) return false;
  const auto place = static_cast<int>(prompt - lane.line.begin());
  if (place < lane.ending || (place == lane.ending && lane.partial > 0)) return false;
  lane.tokens -= prompt->left;
  if (place < lane.admitted) {
    kv_free_ += prompt->request.prompt_tokens + prompt->request.completion_tokens;
    --lane.admitted;
  }
  lane.line.erase(prompt);
  return true;
}

double ReferenceEngine::next_event() {
  if (!in_step_ && has_work()) begin_step();
  return in_step_ ? step_ends_ : std::numeric_limits<double>::infinity();
}

std::span<const EngineEvent> ReferenceEngine::advance(double now) {
  events_.clear();
  while (in_step_ || (has_work() && step_begins_ < now)) {
    if (!in_step_) begin_step();
    if (step_ends_ > now) break;
    end_step();
  }
  return events_;
}

int ReferenceEngine::waiting(bool batch) const {
  return static_cast<int>(lanes_[batch].line.size()) - lanes_[batch].admitted;
}

int ReferenceEngine::running() const {
  return decoding() + lanes_[0].admitted + lanes_[1].admitted;
}

double ReferenceEngine::decode_seconds() const {
  if (decoding_.empty()) return 0.0;
  return params_.step_base + params_.step_per_sequence * decoding() +
         params_.step_per_context_token * static_cast<double>(context_);
}

int ReferenceEngine::cached_tokens(std::span<const std::uint64_t> prefix_ids,
                                   int prompt_tokens) const {
  return std::min(cache_.leading(prefix_ids) * params_.block_tokens, prompt_tokens - 1);
}

bool ReferenceEngine::ends_later(const Decoding& a, const Decoding& b) {
  return a.last_step != b.last_step ? a.last_step > b.last_step : a.order > b.order;
}

bool ReferenceEngine::has_work() const {
  return !decoding_.empty() || !lanes_[0].line.empty() || !lanes_[1].line.empty();
}

void ReferenceEngine::begin_step() {
  prompt_without_room_ = 0;
  const int budget = prompt_budget();
  int left = budget;
  const bool room = read_lane(lanes_[0], left, true);
  // Behind an interactive prompt without room no batch prompt is let in, but one that has begun
  // goes on: it may hold the very room that is missing.
  if (left == budget) read_lane(lanes_[1], left, room);
  const double reading = (budget - left) / params_.prompt_tokens_per_second;
  assert(!decoding_.empty() || left < budget);
  step_ends_ = step_begins_ + params_.slowdown * (decode_seconds() + reading);
  in_step_ = true;
}

int ReferenceEngine::prompt_budget() const {
  const double seconds = params_.step_budget / params_.slowdown - decode_seconds();
  // The hair keeps a product that should be whole from being rounded down.
  const double tokens = std::floor(seconds * params_.prompt_tokens_per_second + 1e-9);
  return std::max(params_.chunk_min, static_cast<int>(tokens));
}

// Plans what the step reads of this lane. False: the next in line is not let in.
bool ReferenceEngine::read_lane(Lane& lane, int& budget, bool open) {
  while (budget > 0 && lane.ending < static_cast<int>(lane.line.size())) {
    if (lane.ending == lane.admitted && !(open && admit(lane))) return false;
    const int left = lane.line[static_cast<std::size_t>(lane.ending)].left;
    if (left > budget) {
      lane.partial = budget;
      budget = 0;
      return true;
    }
    budget -= left;
    ++lane.ending;
  }
  return true;
}

bool ReferenceEngine::admit(Lane& lane) {
  Prompt& prompt = lane.line[static_cast<std::size_t>(lane.admitted)];
  const EngineRequest& request = prompt.request;
  const int room = request.prompt_tokens + request.completion_tokens;
  if (running() >= params_.sequences_max) return false;
  if (room > kv_free_) {
    if (&lane == &lanes_[0]) prompt_without_room_ = request.prompt_tokens;
    return false;
  }
  kv_free_ -= room;
  ++lane.admitted;
  // The cache has changed since it was handed in.
  const int left = request.prompt_tokens - cached_tokens(request.prefix_ids, request.prompt_tokens);
  lane.tokens += left - prompt.left;
  prompt.left = left;
  return true;
}

void ReferenceEngine::end_step() {
  ++step_;
  in_step_ = false;
  pace_ += kPaceNews * (params_.slowdown - pace_);
  context_ += decoding();
  end_decoding();
  for (Lane& lane : lanes_) end_prompts(lane);
  events_.push_back({EngineEventKind::step_ended, 0, step_ends_});
  step_begins_ = step_ends_;
}

void ReferenceEngine::end_decoding() {
  while (!decoding_.empty() && decoding_.front().last_step <= step_) {
    const Decoding ended = decoding_.front();
    std::pop_heap(decoding_.begin(), decoding_.end(), ends_later);
    decoding_.pop_back();
    const int room = ended.prompt_tokens + ended.completion_tokens;
    context_ -= room;
    kv_free_ += room;
    events_.push_back({EngineEventKind::finished, ended.id, step_ends_});
  }
}

void ReferenceEngine::end_prompts(Lane& lane) {
  for (; lane.ending > 0; --lane.ending) {
    const Prompt& prompt = lane.line.front();
    lane.tokens -= prompt.left;
    cache_.put(prompt.request.prefix_ids);
    begin_decoding(prompt.request);
    lane.line.pop_front();
    --lane.admitted;
  }
  if (lane.partial == 0) return;
  lane.line.front().left -= lane.partial;
  lane.tokens -= lane.partial;
  lane.partial = 0;
}

void ReferenceEngine::begin_decoding(const EngineRequest& request) {
  events_.push_back({EngineEventKind::first_token, request.id, step_ends_});
  if (request.completion_tokens == 1) {
    kv_free_ += request.prompt_tokens + 1;
    events_.push_back({EngineEventKind::finished, request.id, step_ends_});
    return;
  }
  const auto further = static_cast<std::uint64_t>(request.completion_tokens - 1);
  decoding_.push_back({step_ + further, begun_++, step_, request.id, request.prompt_tokens,
                       request.completion_tokens, request.completion_cap});
  std::push_heap(decoding_.begin(), decoding_.end(), ends_later);
  context_ += request.prompt_tokens + 1;
}

void ReferenceEngine::status(double now, EngineStatus& status) const {
  status.ready = true;
  status.running.clear();
  status.waiting.clear();
  for (const Decoding& one : decoding_) {
    const int generated = static_cast<int>(step_ - one.begun_at) + 1;
    status.running.push_back({.context_tokens = one.prompt_tokens + generated,
                              .generated = generated,
                              .tokens_max = one.completion_cap});
  }
  list(lanes_[0], spillway::Lane::foreground, status);
  list(lanes_[1], spillway::Lane::background, status);
  status.sequences_max = params_.sequences_max;
  status.budget = {.tokens_max = params_.kv_tokens,
                   .seconds_max = params_.step_budget,
                   .chunk_tokens_min = params_.chunk_min};
  status.waiting_max = 1'000'000;
  status.kv_tokens_total = params_.kv_tokens;
  status.kv_tokens_free = params_.kv_tokens - static_cast<int>(context_);
  for (const Lane& lane : lanes_) {
    for (int i = 0; i < lane.admitted; ++i)
      status.kv_tokens_free -= lane.line[static_cast<std::size_t>(i)].request.prompt_tokens;
  }
  status.kv_reserved = true;
  status.context_max = params_.kv_tokens;
  status.step_elapsed = in_step_ ? now - step_begins_ : 0.0;
  status.step = {.base = pace_ * params_.step_base,
                 .per_sequence = pace_ * params_.step_per_sequence,
                 .per_context_token = pace_ * params_.step_per_context_token,
                 .per_prefill_token = pace_ / params_.prompt_tokens_per_second,
                 .steps_seen = step_};
}

void ReferenceEngine::list(const Lane& lane, spillway::Lane name, EngineStatus& status) const {
  for (int i = 0; i < static_cast<int>(lane.line.size()); ++i) {
    const Prompt& prompt = lane.line[static_cast<std::size_t>(i)];
    auto& list = i < lane.admitted ? status.running : status.waiting;
    list.push_back({.prefill_left = prompt.left,
                    .context_tokens = prompt.request.prompt_tokens - prompt.left,
                    .tokens_max = prompt.request.completion_cap,
                    .lane = name});
  }
}

}  // namespace spillway::simulate
