#include "backends/local/sample/logprobs.h"

#include "backends/local/sample/weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace spillway::local {

namespace {

int rank_of(std::int32_t token, std::span<const float> logits) {
  const float logit = logits[static_cast<std::size_t>(token)];
  const auto before = std::count_if(logits.begin(), logits.begin() + token,
                                    [logit](float other) { return other >= logit; });
  const auto behind = std::count_if(logits.begin() + token, logits.end(),
                                    [logit](float other) { return other > logit; });
  return 1 + static_cast<int>(before + behind);
}

}  // namespace

ScoredToken score(std::span<const float> logits, std::int32_t token, int likeliest,
                  SamplerScratch& scratch) {
  weigh(logits, 1.0f, scratch.weights);
  const float highest = logits[largest_index(logits)];
  const double total = highest + std::log(sum_of(scratch.weights));
  const auto logprob_of = [&](std::int32_t id) {
    return static_cast<float>(logits[static_cast<std::size_t>(id)] - total);
  };
  ScoredToken scored{token, logprob_of(token), rank_of(token, logits)};
  if (likeliest == 0) return scored;
  auto& ids = scratch.ids;
  ids.resize(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto count = std::min(ids.size(), static_cast<std::size_t>(likeliest));
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ids.begin(), end, ids.end(), [&](std::int32_t a, std::int32_t b) {
    const float of_a = logits[static_cast<std::size_t>(a)];
    const float of_b = logits[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a < b;
  });
  for (auto id = ids.begin(); id != end; ++id) scored.likeliest.push_back({*id, logprob_of(*id)});
  return scored;
}

std::optional<int> likeliest_of_prompt(const Sampling& sampling) {
  const auto repeated = sampling.scores_prompt ? sampling.logprobs : std::nullopt;
  return std::max(repeated, sampling.prompt_logprobs);
}

}  // namespace spillway::local
