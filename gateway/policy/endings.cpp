#include "gateway/policy/endings.h"

#include <algorithm>

namespace spillway::policy {

Endings::Endings(std::size_t expected, std::pmr::memory_resource* memory) : later_(memory) {
  later_.reserve(expected);
}

void Endings::stand_behind(std::int64_t after_step, std::int32_t context_then) {
  later_.push_back({after_step, context_then});
  later_next_ = std::min(later_next_, after_step);
}

Endings::Day Endings::end(std::int64_t step) {
  Day gone;
  while (next_ <= step) {
    if (in_days_ == 0) begin_days(next_);
    Day& today = day(next_);
    gone.sequences += today.sequences;
    gone.context_tokens += today.context_tokens;
    gone.blocks += today.blocks;
    in_days_ -= today.sequences;
    today = {};
    if (in_days_ == 0) {
      next_ = later_next_;
    } else {
      while (day(next_).sequences == 0) ++next_;
    }
  }
  return gone;
}

// Requires: the days are empty.
void Endings::begin_days(std::int64_t first) {
  days_end_ = first + kDays;
  later_next_ = kNever;
  const auto comes_in = [&](const Later& one) {
    const bool is_later = one.after_step >= days_end_;
    if (is_later) later_next_ = std::min(later_next_, one.after_step);
    if (!is_later) enter(one.after_step, one.context_then);
    return !is_later;
  };
  std::erase_if(later_, comes_in);
}

}  // namespace spillway::policy
