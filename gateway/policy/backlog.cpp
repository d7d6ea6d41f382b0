#include "gateway/policy/backlog.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr double kHalfLifeSeconds = 20.0;  // Of what was measured, in time at work.
constexpr int kTokensLeast = 32;  // A job of fewer takes as long: it reads the weights, too.

int work_of(int tokens) { return std::max(tokens, kTokensLeast); }

}  // namespace

void Backlog::begin(Lane lane, int tokens, TimePoint now) {
  if (jobs_++ == 0) since_ = now;
  tokens_[static_cast<std::size_t>(lane)] += work_of(tokens);
}

void Backlog::done(Lane lane, int tokens, TimePoint now) {
  const double took = seconds_between(since_, now);
  const double kept = std::exp2(-took / kHalfLifeSeconds);
  since_ = now;
  read_ = read_ * kept + work_of(tokens);
  busy_seconds_ = busy_seconds_ * kept + took;
  remove(lane, tokens);
}

void Backlog::remove(Lane lane, int tokens) {
  --jobs_;
  tokens_[static_cast<std::size_t>(lane)] -= work_of(tokens);
}

}  // namespace spillway::policy
