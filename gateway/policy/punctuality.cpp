#include "gateway/policy/punctuality.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr int kFirstWidth = 10;  // Bits of a prompt's length that make the first size.
constexpr int kMemory = 30;      // Answers.
constexpr int kPrior = 1;        // That all are in time weighs as much as so many answers.
constexpr double kHalfLife = 4.0 * 3'600.0;  // Seconds without news.

}  // namespace

std::size_t InTime::size_of(int prompt_tokens) {
  const int width = std::bit_width(static_cast<unsigned>(std::max(0, prompt_tokens)));
  return std::min(static_cast<std::size_t>(std::max(0, width - kFirstWidth)), kSizes - 1);
}

void Punctuality::observe(const Promise& promise, double seconds, TimePoint now) {
  if (promise.client_hurries || promise.ttft_max <= 0.0) return;
  Cell& cell = cells_[InTime::size_of(promise.prompt_tokens)];
  const float kept = seconds <= promise.ttft_max ? 1.0F : 0.0F;
  cell.share = faded(cell, now);
  cell.seen = std::min(cell.seen + 1, kMemory);
  cell.share += (kept - cell.share) / static_cast<float>(cell.seen + kPrior);
  cell.news = now;
}

InTime Punctuality::in_time(TimePoint now) const {
  InTime shares;
  for (std::size_t size = 0; size < cells_.size(); ++size)
    shares.set(size, faded(cells_[size], now));
  return shares;
}

float Punctuality::faded(const Cell& cell, TimePoint now) {
  if (cell.seen == 0) return 1.0F;
  const double idle = std::max(0.0, seconds_between(cell.news, now));
  return 1.0F - (1.0F - cell.share) * static_cast<float>(std::exp2(-idle / kHalfLife));
}

}  // namespace spillway::policy
