// The sequences of a batch that decode, by the step after which each is gone. For predict.cpp.
//
// A calendar queue (Brown, 1988): a day for each of the steps ahead, which holds the sum of those
// who end with it, since nothing else of them matters; who ends later stands in a row of its own
// until the days before are over. Adding one and ending one cost the same however many there are.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <vector>

namespace spillway::policy {

class Endings {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  // Those who end with one step, in sum.
  struct Day {
    std::int32_t sequences = 0;
    std::int32_t context_tokens = 0;
    std::int32_t blocks = 0;  // Of the KV cache, each sequence's last one counted whole.
  };

  // KV room is given out in blocks of so many tokens.
  static constexpr std::int32_t kBlockTokens = 16;

  Endings(std::size_t expected, std::pmr::memory_resource* memory);

  // Requires: `after_step` is no earlier than the last step that was ended. Inline: a decision
  // makes hundreds of these calls.
  void add(std::int64_t after_step, std::int32_t context_then) {
    next_ = std::min(next_, after_step);
    if (after_step < days_end_) return enter(after_step, context_then);
    stand_behind(after_step, context_then);
  }

  // The step after which the next are gone; kNever if there are none.
  std::int64_t next() const { return next_; }
  bool empty() const { return next_ == kNever; }

  // Takes out those who are gone after `step`.
  Day end(std::int64_t step);

 private:
  static constexpr std::int64_t kDays = 256;

  struct Later {
    std::int64_t after_step = 0;
    std::int32_t context_then = 0;
  };

  Day& day(std::int64_t step) { return days_[static_cast<std::size_t>(step) % kDays]; }

  void enter(std::int64_t after_step, std::int32_t context_then) {
    constexpr std::uint32_t kBlock = kBlockTokens;
    Day& last = day(after_step);
    ++last.sequences;
    last.context_tokens += context_then;
    last.blocks +=
        static_cast<std::int32_t>((static_cast<std::uint32_t>(context_then) + kBlock - 1) / kBlock);
    ++in_days_;
  }

  void stand_behind(std::int64_t after_step, std::int32_t context_then);
  void begin_days(std::int64_t first);

  std::array<Day, kDays> days_{};
  std::int64_t days_end_ = kDays;     // The first step behind them.
  int in_days_ = 0;                   // Sequences.
  std::pmr::vector<Later> later_;     // All behind the days.
  std::int64_t later_next_ = kNever;  // The earliest of them.
  std::int64_t next_ = kNever;
};

}  // namespace spillway::policy
