#include "backends/local/sample/sampler.h"

#include "backends/local/sample/weights.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

namespace spillway::local {

namespace {

constexpr double kGreedyBelow = 1e-5;  // A lower temperature is greedy.

constexpr float kNever = -std::numeric_limits<float>::infinity();

// SplitMix64's finaliser: a bijection whose outputs pass for random.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

void repeat_penalty(float& logit, double penalty) {
  logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
}

bool is_allowed(std::span<const std::uint32_t> mask, std::int32_t token) {
  const auto word = static_cast<std::size_t>(token) / 32;
  return word < mask.size() && (mask[word] >> (token % 32) & 1) != 0;
}

// Ties go to the lower id, so that a cut does not depend on the library's algorithm.
struct Likelier {
  std::span<const float> weights;

  bool operator()(std::int32_t a, std::int32_t b) const {
    const float of_a = weights[static_cast<std::size_t>(a)];
    const float of_b = weights[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a < b;
  }
};

std::vector<std::int32_t> distinct(std::span<const std::int32_t> ids) {
  std::vector<std::int32_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

std::vector<std::int32_t> joined(std::vector<std::int32_t> ids,
                                 std::span<const std::int32_t> more) {
  ids.insert(ids.end(), more.begin(), more.end());
  return distinct(ids);
}

}  // namespace

SequenceSampler::SequenceSampler(const Sampling& sampling, std::span<const std::int32_t> prompt,
                                 std::vector<std::int32_t> banned_at_first, std::uint64_t seed)
    : sampling_(sampling),
      banned_at_first_(joined(std::move(banned_at_first), sampling.stop_tokens)),
      seed_(sampling.seed.value_or(seed)) {
  if (sampling_.repetition_penalty != 1.0) prompt_ids_ = distinct(prompt);
}

std::int32_t SequenceSampler::choose(std::span<const float> logits, SamplerScratch& scratch) const {
  if (alters_logits()) {
    scratch.logits.assign(logits.begin(), logits.end());
    alter_logits(scratch.logits);
    logits = scratch.logits;
  }
  if (sampling_.temperature < kGreedyBelow) {
    return static_cast<std::int32_t>(largest_index(logits));
  }
  weigh(logits, static_cast<float>(sampling_.temperature), scratch.weights);
  scratch.weights.resize(logits.size());
  if (!cuts_candidates()) {
    return static_cast<std::int32_t>(draw_index(scratch.weights, uniform()));
  }
  keep_candidates(scratch);
  if (sampling_.top_p < 1.0) keep_top_p(scratch);
  scratch.kept.clear();
  for (const std::int32_t id : scratch.ids) {
    scratch.kept.push_back(scratch.weights[static_cast<std::size_t>(id)]);
  }
  return scratch.ids[draw_index(scratch.kept, uniform())];
}

void SequenceSampler::allow(std::span<const std::uint32_t> mask) {
  allowed_ = mask;
  std::size_t others = 0;
  for (const std::uint32_t word : mask) others += static_cast<std::size_t>(std::popcount(word));
  for (const std::int32_t token : banned_at_first_) others -= is_allowed(mask, token) ? 1 : 0;
  only_ends_allowed_ = !mask.empty() && others == 0;
}

void SequenceSampler::record(std::int32_t token) {
  if (penalizes()) ++counts_[token];
  ++generated_;
}

bool SequenceSampler::penalizes() const {
  return sampling_.repetition_penalty != 1.0 || sampling_.frequency_penalty != 0.0 ||
         sampling_.presence_penalty != 0.0;
}

bool SequenceSampler::alters_logits() const {
  return penalizes() || bans_ends() || !allowed_.empty() || !sampling_.bias.empty();
}

bool SequenceSampler::bans_ends() const {
  return generated_ < sampling_.tokens_min && !banned_at_first_.empty() && !only_ends_allowed_;
}

void SequenceSampler::alter_logits(std::span<float> logits) const {
  const auto index = [](std::int32_t token) { return static_cast<std::size_t>(token); };
  if (!allowed_.empty()) forbid(logits);
  for (const TokenBias& bias : sampling_.bias) logits[index(bias.token)] += bias.by;
  if (sampling_.repetition_penalty != 1.0) {
    for (const std::int32_t token : prompt_ids_) {
      repeat_penalty(logits[index(token)], sampling_.repetition_penalty);
    }
    for (const auto& [token, count] : counts_) {
      if (std::binary_search(prompt_ids_.begin(), prompt_ids_.end(), token)) continue;
      repeat_penalty(logits[index(token)], sampling_.repetition_penalty);
    }
  }
  for (const auto& [token, count] : counts_) {
    logits[index(token)] -=
        static_cast<float>(sampling_.frequency_penalty * count + sampling_.presence_penalty);
  }
  if (!bans_ends()) return;
  for (const std::int32_t token : banned_at_first_) logits[index(token)] = kNever;
}

void SequenceSampler::forbid(std::span<float> logits) const {
  constexpr std::size_t kBits = 32;
  for (std::size_t at = 0; at < logits.size(); at += kBits) {
    const std::span<float> some = logits.subspan(at, std::min(kBits, logits.size() - at));
    const std::uint32_t word = at / kBits < allowed_.size() ? allowed_[at / kBits] : 0;
    for (std::size_t bit = 0; ~word != 0 && bit < some.size(); ++bit) {
      if ((word >> bit & 1) == 0) some[bit] = kNever;
    }
  }
}

bool SequenceSampler::cuts_candidates() const {
  return sampling_.min_p > 0.0 || sampling_.top_k > 0 || sampling_.top_p < 1.0;
}

void SequenceSampler::keep_candidates(SamplerScratch& scratch) const {
  auto& [logits, weights, ids, kept] = scratch;
  // The likeliest token weighs 1, so min_p is a weight. Where top_p alone cuts, what lies below the
  // other bound is together less than the share that it leaves out: no nucleus reaches it.
  const bool only_top_p = sampling_.top_k <= 0 && sampling_.min_p <= 0.0;
  const double share = (1.0 - sampling_.top_p) / static_cast<double>(weights.size());
  const auto lowest = static_cast<float>(only_top_p ? share : sampling_.min_p);
  ids.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= lowest) ids.push_back(static_cast<std::int32_t>(i));
  }
  const auto k = static_cast<std::size_t>(std::max(sampling_.top_k, 0));
  if (k == 0 || k >= ids.size()) return;
  std::nth_element(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(k) - 1, ids.end(),
                   Likelier{weights});
  ids.resize(k);
}

void SequenceSampler::keep_top_p(SamplerScratch& scratch) const {
  auto& [logits, weights, ids, kept] = scratch;
  const auto weight = [&](std::int32_t id) -> double {
    return weights[static_cast<std::size_t>(id)];
  };
  const auto add = [&](double sum, std::int32_t id) { return sum + weight(id); };
  const bool others_cut = sampling_.top_k > 0 || sampling_.min_p > 0.0;
  const double whole = others_cut ? std::accumulate(ids.begin(), ids.end(), 0.0, add)
                                  : std::accumulate(weights.begin(), weights.end(), 0.0);
  const double enough = sampling_.top_p * whole;
  // The nucleus is mostly small: sort the head only, and more of it where that was not enough.
  double covered = 0.0;
  std::size_t sorted = 0;
  while (sorted < ids.size()) {
    const std::size_t end = std::min(ids.size(), std::max<std::size_t>(64, sorted * 8));
    const auto from = ids.begin() + static_cast<std::ptrdiff_t>(sorted);
    std::partial_sort(from, ids.begin() + static_cast<std::ptrdiff_t>(end), ids.end(),
                      Likelier{weights});
    for (; sorted < end; ++sorted) {
      covered += weight(ids[sorted]);
      if (covered < enough) continue;
      ids.resize(sorted + 1);
      return;
    }
  }
}

double SequenceSampler::uniform() const {
  const std::uint64_t bits = mix(seed_ ^ mix(static_cast<std::uint64_t>(generated_)));
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace spillway::local
