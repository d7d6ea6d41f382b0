#include "gateway/provider/house.h"

#include <utility>

namespace spillway::provider {
namespace {

constexpr std::size_t kBeginningsMax = 1 << 20;

}  // namespace

House::House(simulated::Profile profile, const ProviderOptions& options)
    : profile_(std::move(profile)),
      key_(options.key),
      prefix_cache_(options.prefix_cache),
      seed_(options.seed),
      draw_of_(options.draw_of),
      script_(std::make_shared<const simulated::Script>(options.script)),
      limiter_(profile_.limit, SteadyClock::now()) {}

ProviderStats House::stats() const {
  ProviderStats stats;
  stats.requests = counts_.requests;
  stats.answered = counts_.answered;
  stats.failures = counts_.failures;
  stats.rate_limited = counts_.rate_limited;
  stats.unauthorized = counts_.unauthorized;
  stats.disconnects = counts_.disconnects;
  stats.open_streams = counts_.open_streams;
  stats.prompt_tokens = counts_.prompt_tokens;
  stats.cached_tokens = counts_.cached_tokens;
  stats.completion_tokens = counts_.completion_tokens;
  const BatchCounts batches = batches_.counts();
  stats.batches = batches.created;
  stats.batch_lines = batches.lines;
  stats.batch_prompt_tokens = batches.prompt_tokens;
  stats.batch_completion_tokens = batches.completion_tokens;
  return stats;
}

std::shared_ptr<const simulated::Script> House::script() const {
  std::lock_guard lock(mutex_);
  return script_;
}

void House::set_script(simulated::Script script) {
  auto next = std::make_shared<const simulated::Script>(std::move(script));
  std::lock_guard lock(mutex_);
  script_.swap(next);
}

bool House::loses_batch() {
  std::lock_guard lock(mutex_);
  if (script_->batches.unanswered <= 0) return false;
  auto next = std::make_shared<simulated::Script>(*script_);
  --next->batches.unanswered;
  script_ = std::move(next);
  return true;
}

bool House::instant(const simulated::Script& script) const {
  return !prefix_cache_ && profile_.latency.first_token_mean <= 0.0 && script.faults.empty() &&
         !script.dead;
}

simulated::Performance House::perform(const simulated::Script& script, const Asked& asked) {
  const Draw draw = draw_of_ ? draw_of_(asked.prompt) : Draw{seed_, next_request_++};
  return simulated::perform(profile_, script, draw.seed, draw.number, asked.prompt_tokens);
}

int House::read(const std::vector<Beginning>& beginnings) {
  if (!prefix_cache_) return 0;
  int known = 0;
  std::lock_guard lock(mutex_);
  if (beginnings_.size() > kBeginningsMax) beginnings_.clear();
  for (const Beginning& one : beginnings) {
    if (!beginnings_.insert(one.hash).second) known = one.tokens;
  }
  return known;
}

std::optional<double> House::over_limit(int tokens) {
  const int concurrency_max = profile_.limit.concurrency_max;
  // The request that asks is among those counted.
  if (concurrency_max > 0 && counts_.open_streams > concurrency_max) return 1.0;
  std::lock_guard lock(mutex_);
  return limiter_.refuse(tokens, SteadyClock::now());
}

}  // namespace spillway::provider
