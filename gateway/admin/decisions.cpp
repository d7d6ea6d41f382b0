#include "gateway/admin/decisions.h"

#include <algorithm>

namespace spillway::admin {
namespace {

// What clients write is cut to this; the explanation is ours and short by construction.
constexpr std::size_t kModelBytesMax = 256;

void fill(Decision& decision, const Receipt& receipt) {
  decision.at = std::chrono::system_clock::now();
  decision.id = receipt.request_id;
  decision.model.assign(receipt.model_requested, 0, kModelBytesMax);
  decision.request_class = receipt.request_class;
  decision.target = receipt.target;
  decision.reason = receipt.reason;
  decision.rule = receipt.rule;
  decision.canary = receipt.canary != 0;
  decision.rule_facts = receipt.rule_facts;
  decision.explanation = receipt.explanation;
  decision.considered = receipt.considered;
  decision.attempts.clear();
  for (const Attempt& attempt : receipt.attempts) {
    decision.attempts.push_back({attempt.target, attempt.failure, attempt.server, attempt.cause});
  }
  decision.retries_used_up = receipt.retries_used_up;
  decision.cost_nano_usd = receipt.cost_nano_usd;
  decision.avoided_nano_usd = receipt.avoided_nano_usd;
  if (receipt.predicted) decision.predicted_ttft = receipt.predicted->ttft;
  decision.ttft.reset();
  if (receipt.first_token) decision.ttft = seconds_between(receipt.decided, *receipt.first_token);
  decision.total = receipt.seconds_total();
  decision.status = receipt.http_status;
}

}  // namespace

Decisions::Decisions(std::size_t capacity) : ring_(std::max<std::size_t>(capacity, 1)) {}

void Decisions::record(const Receipt& receipt) {
  if (receipt.reason.empty() && receipt.explanation.empty()) return;
  const std::lock_guard lock(mutex_);
  fill(ring_[recorded_ % ring_.size()], receipt);
  ++recorded_;
}

std::vector<Decision> Decisions::last(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const std::size_t known = std::min({count, recorded_, ring_.size()});
  std::vector<Decision> decisions;
  decisions.reserve(known);
  for (std::size_t back = 1; back <= known; ++back) {
    decisions.push_back(ring_[(recorded_ - back) % ring_.size()]);
  }
  return decisions;
}

std::optional<Decision> Decisions::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const std::size_t known = std::min(recorded_, ring_.size());
  for (std::size_t back = 1; back <= known; ++back) {
    const Decision& one = ring_[(recorded_ - back) % ring_.size()];
    if (one.id == id) return one;
  }
  return std::nullopt;
}

}  // namespace spillway::admin
