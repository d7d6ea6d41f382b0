#include "gateway/policy/prompt_line.h"

#include <algorithm>

namespace spillway::policy {
namespace {

// A lane's part of a row that is ordered by lanes.
std::span<const SequenceStatus> part_of(const std::vector<SequenceStatus>& row, Lane lane) {
  const auto begin = std::find_if(row.begin(), row.end(), [lane](const SequenceStatus& sequence) {
    return sequence.lane >= lane;
  });
  const auto end = std::find_if(
      begin, row.end(), [lane](const SequenceStatus& sequence) { return sequence.lane > lane; });
  return {begin, end};
}

}  // namespace

PromptLine::PromptLine(const EngineStatus& engine, Lane lane, int own_tokens)
    : running_(part_of(engine.running, lane)),
      waiting_(part_of(engine.waiting, lane)),
      own_{.prefill_left = own_tokens, .lane = lane},
      has_own_(own_tokens > 0),
      admitted_(running_.size()) {
  skip_decoding();
}

void PromptLine::pass_head() {
  ++head_;
  head_done_ = 0;
  skip_decoding();
}

PromptLine::Backlog PromptLine::backlog(double typical) const {
  Backlog backlog;
  const auto from = [](std::span<const SequenceStatus> row, std::size_t first) {
    return row.subspan(std::min(first, row.size()));
  };
  const std::size_t ahead = running_.size();
  for (const SequenceStatus& sequence : from(running_, head_))
    backlog.prompt_tokens += sequence.prefill_left;
  for (const SequenceStatus& sequence : from(waiting_, head_ > ahead ? head_ - ahead : 0))
    backlog.prompt_tokens += sequence.prefill_left;
  for (const SequenceStatus& sequence : from(waiting_, std::max(head_, admitted_) - ahead)) {
    const double most = sequence.tokens_max - sequence.generated;
    backlog.answer_tokens += typical > 0.0 ? std::min(most, typical) : most;
  }
  if (has_own_) backlog.prompt_tokens += own_.prefill_left;
  backlog.prompt_tokens -= head_done_;
  return backlog;
}

SequenceStatus PromptLine::at(std::size_t index) const {
  if (index < running_.size()) return running_[index];
  index -= running_.size();
  return index < waiting_.size() ? waiting_[index] : own_;
}

void PromptLine::skip_decoding() {
  while (head_ < running_.size() && running_[head_].prefill_left <= 0) ++head_;
}

}  // namespace spillway::policy
