#include "gateway/policy/gcra.h"

#include <algorithm>

namespace spillway::policy {
namespace {

constexpr std::int64_t kMinute = 60'000'000'000;

// The time in which so much comes back, rounded up: a rate is never exceeded by rounding.
std::int64_t time_for(std::int64_t cost, std::int64_t per_minute) {
  using Wide = __int128;
  const Wide time = static_cast<Wide>(cost) * kMinute;
  return static_cast<std::int64_t>((time + (cost > 0 ? per_minute - 1 : 0)) / per_minute);
}

Bucket::Answer answer(bool taken, std::int64_t full_at, std::int64_t now, std::int64_t per_minute) {
  using Wide = __int128;
  const std::int64_t reset = std::max<std::int64_t>(0, full_at - now);
  const std::int64_t room = std::max<std::int64_t>(0, kMinute - reset);
  const auto remaining = static_cast<std::int64_t>(static_cast<Wide>(room) * per_minute / kMinute);
  return {taken, remaining, Bucket::Nanoseconds(reset), Bucket::Nanoseconds(0)};
}

}  // namespace

Bucket::Answer Bucket::take(std::int64_t per_minute, std::int64_t cost, TimePoint now) {
  const std::int64_t at = now.time_since_epoch().count();
  const std::int64_t asked = time_for(std::max<std::int64_t>(0, cost), per_minute);
  const std::int64_t needed = std::min(kMinute, asked);
  std::int64_t full_at = full_at_.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t after = std::max(full_at, at) + needed;
    if (after - at > kMinute) {
      Answer refused = answer(false, full_at, at, per_minute);
      refused.retry_after = Nanoseconds(after - at - kMinute);
      return refused;
    }
    if (!full_at_.compare_exchange_weak(full_at, after, std::memory_order_relaxed)) continue;
    if (full_at <= at) was_full_at_.store(at, std::memory_order_relaxed);
    return answer(true, after, at, per_minute);
  }
}

bool Bucket::was_full(TimePoint since, TimePoint now) const {
  return was_full_at_.load(std::memory_order_relaxed) > since.time_since_epoch().count() ||
         full_at_.load(std::memory_order_relaxed) <= now.time_since_epoch().count();
}

void Bucket::correct(std::int64_t per_minute, std::int64_t cost) {
  full_at_.fetch_add(time_for(cost, per_minute), std::memory_order_relaxed);
}

}  // namespace spillway::policy
