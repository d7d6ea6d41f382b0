#include "gateway/policy/length.h"

#include <algorithm>
#include <bit>

namespace spillway::policy {

void AnswerLength::Mean::add(int value) {
  constexpr int kMemory = 50;
  seen = std::min(seen + 1, kMemory);
  mean += (static_cast<float>(value) - mean) / static_cast<float>(seen);
}

namespace {

std::size_t size_of(int tokens, std::size_t sizes) {
  const auto width = std::bit_width(static_cast<unsigned>(std::max(1, tokens)));
  return std::min(static_cast<std::size_t>(width - 1), sizes - 1);
}

}  // namespace

double Remaining::tokens(int generated) const {
  const std::size_t size = size_of(generated, kSizes);
  if (size + 1 == kSizes || mean[size + 1] <= 0.0F) return mean[size];
  const auto from = static_cast<double>(std::size_t{1} << size);
  const double way = std::max(0.0, generated / from - 1.0);
  return mean[size] + way * (mean[size + 1] - mean[size]);
}

Remaining AnswerLength::remaining() const {
  constexpr float kEnough = 5.0F;
  constexpr float kMiddle = 1.44F;  // The mean of what lies evenly, by logarithm, between 1 and 2.
  Remaining remaining;
  float count = 0.0F, tokens = 0.0F;
  for (std::size_t size = Remaining::kSizes; size-- > 0;) {
    const auto from = static_cast<float>(std::size_t{1} << size);
    count += sizes_[size];
    tokens += sizes_[size] * from * kMiddle;
    if (count >= kEnough) remaining.mean[size] = tokens / count - from;
  }
  return remaining;
}

void AnswerLength::observe(std::size_t request_class, int prompt_tokens, int completion_tokens) {
  constexpr float kForget = 1.0F - 1.0F / 500.0F;
  for (float& size : sizes_) size *= kForget;
  sizes_[size_of(completion_tokens, Remaining::kSizes)] += 1.0F;
  all_.add(completion_tokens);
  cells_[cell_of(request_class, prompt_tokens)].add(completion_tokens);
}

double AnswerLength::expected(std::size_t request_class, int prompt_tokens) const {
  constexpr int kEnough = 5;
  const Mean& alike = cells_[cell_of(request_class, prompt_tokens)];
  return alike.seen >= kEnough ? alike.mean : all_.mean;
}

std::size_t AnswerLength::cell_of(std::size_t request_class, int prompt_tokens) {
  return std::min(request_class, kClasses - 1) * kSizes + size_of(prompt_tokens, kSizes);
}

}  // namespace spillway::policy
