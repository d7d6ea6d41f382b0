#include "gateway/policy/prompt_pace.h"

#include <algorithm>

namespace spillway::policy {
namespace {

constexpr int kEnough = 20;  // Answers.

}  // namespace

void PromptPace::first_token(int prompt_tokens, double seconds, TimePoint now) {
  Size& size = sizes_[InTime::size_of(prompt_tokens)];
  size.took.add(seconds, now);
  size.seen = std::min(size.seen + 1, kEnough);
}

double PromptPace::overdue_after(int prompt_tokens, double p99) const {
  double longest = p99;
  for (std::size_t size = 1; size <= InTime::size_of(prompt_tokens); ++size) {
    const bool known = sizes_[size].seen >= kEnough;
    longest = known ? sizes_[size].took.quantile(0.99) : 2.0 * longest;
  }
  return longest;
}

}  // namespace spillway::policy
