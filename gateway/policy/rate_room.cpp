#include "gateway/policy/rate_room.h"

#include <algorithm>

namespace spillway::policy {

void RateRoom::told(const RateLeft::Room& room, double taken, TimePoint sent) {
  if (told_ && sent < told_->at) return;
  const double seconds = std::chrono::duration<double>(room.full_in).count();
  const auto left = static_cast<double>(room.left);
  Told told{.left = left, .taken = taken, .at = sent, .full = sent + room.full_in};
  if (room.limit && seconds > 0.0)
    told.per_second = std::max(0.0, static_cast<double>(*room.limit) - left) / seconds;
  told_ = told;
}

TimePoint RateRoom::free_at(double amount, TimePoint now) const {
  if (!told_ || now >= told_->full) return now;
  const double since = seconds_between(told_->at, now);
  const double left = told_->left + told_->per_second * since - (taken_ - told_->taken);
  if (left >= amount) return now;
  if (told_->per_second <= 0.0) return told_->full;
  return std::min(told_->full, now + from_seconds((amount - left) / told_->per_second));
}

}  // namespace spillway::policy
