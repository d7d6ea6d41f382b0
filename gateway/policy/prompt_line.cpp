#include "gateway/policy/prompt_line.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace spillway::policy {
namespace {

// A lane's part of a row that is ordered by lanes.
std::span<const SequenceStatus> part_of(const std::vector<SequenceStatus>& row, Lane lane) {
  const auto begin =
      std::partition_point(row.begin(), row.end(),
                           [lane](const SequenceStatus& sequence) { return sequence.lane < lane; });
  const auto end = std::partition_point(
      begin, row.end(), [lane](const SequenceStatus& sequence) { return sequence.lane <= lane; });
  return {begin, end};
}

std::int64_t prompt_tokens_of(std::span<const SequenceStatus> row) {
  std::int64_t tokens = 0;
  for (const SequenceStatus& sequence : row) tokens += sequence.prefill_left;
  return tokens;
}

// Prompts, and answers of at most `typical` tokens each; 0: as many as they may. Whole numbers are
// added up, since there may be a thousand, and each sum of fractions waits for the one before it.
PromptLine::Backlog all_of(std::span<const SequenceStatus> row, double typical) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  const std::int32_t limit =
      typical > 0.0 ? static_cast<std::int32_t>(std::min(std::round(typical), 1.0 * kMost)) : kMost;
  std::int64_t prompts = 0, answers = 0;
  for (const SequenceStatus& sequence : row) {
    prompts += sequence.prefill_left;
    answers += std::min(sequence.tokens_max - sequence.generated, limit);
  }
  return {static_cast<double>(prompts), static_cast<double>(answers)};
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
  const std::size_t ahead = running_.size();
  const std::size_t unread = std::min(head_ > ahead ? head_ - ahead : 0, waiting_.size());
  const std::size_t outside = std::min(std::max(head_, admitted_) - ahead, waiting_.size());
  Backlog backlog = all_of(waiting_.subspan(outside), typical);
  const std::int64_t inside = prompt_tokens_of(running_.subspan(std::min(head_, ahead))) +
                              prompt_tokens_of(waiting_.subspan(unread, outside - unread));
  backlog.prompt_tokens += static_cast<double>(inside);
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
