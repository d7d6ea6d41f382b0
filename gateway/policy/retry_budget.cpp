#include "gateway/policy/retry_budget.h"

#include <chrono>
#include <iterator>

namespace spillway::policy {
namespace {

std::int64_t second_of(TimePoint now) {
  return std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
}

}  // namespace

bool RetryBudget::allows(const config::RetryBudget& terms, TimePoint now) const {
  const std::int64_t this_second = second_of(now);
  int first = 0;
  int again = 0;
  int again_now = 0;
  for (const Second& one : seconds_) {
    if (this_second - one.at >= std::ssize(seconds_)) continue;
    first += one.first;
    again += one.again;
    if (one.at == this_second) again_now = one.again;
  }
  return again_now < terms.per_second_min || again + 1 <= terms.share_max * first;
}

void RetryBudget::made(Occasion occasion, TimePoint now) {
  const std::int64_t this_second = second_of(now);
  Second& second = seconds_[this_second % seconds_.size()];
  if (second.at != this_second) second = {this_second, 0, 0};
  if (occasion == Occasion::first) ++second.first;
  if (occasion == Occasion::again) ++second.again;
}

}  // namespace spillway::policy
