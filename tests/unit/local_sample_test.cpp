#include "backends/local/sample/logprobs.h"
#include "backends/local/sample/sampler.h"
#include "backends/local/sample/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <set>

namespace spillway::local {
namespace {

// What was said before each draw: some of it in the prompt.
const std::vector<std::int32_t> kPrompt{1, 3, 3};
const std::vector<std::int32_t> kSaid{2, 3, 2, 7};

// What biases and penalties make of the logits, by definition.
void alter(std::vector<float>& logits, const Sampling& sampling) {
  for (const TokenBias& bias : sampling.bias)
    logits[static_cast<std::size_t>(bias.token)] += bias.by;
  std::set<std::int32_t> seen(kPrompt.begin(), kPrompt.end());
  seen.insert(kSaid.begin(), kSaid.end());
  for (const std::int32_t token : seen) {
    float& logit = logits[static_cast<std::size_t>(token)];
    const double penalty = sampling.repetition_penalty;
    logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
  for (const std::int32_t token : std::set<std::int32_t>(kSaid.begin(), kSaid.end())) {
    const auto count = std::count(kSaid.begin(), kSaid.end(), token);
    logits[static_cast<std::size_t>(token)] -= static_cast<float>(
        sampling.frequency_penalty * static_cast<double>(count) + sampling.presence_penalty);
  }
}

// The distribution by definition: sort everything, cut, renormalise. Slow and obvious.
std::vector<double> exact(std::vector<float> logits, const Sampling& sampling) {
  const auto vocabulary = logits.size();
  std::vector<std::size_t> order(vocabulary);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  std::vector<double> weight(vocabulary);
  const double highest = logits[order[0]];
  for (std::size_t i = 0; i < vocabulary; ++i) {
    weight[i] = std::exp((logits[i] - highest) / sampling.temperature);
    if (weight[i] < sampling.min_p) weight[i] = 0;
  }
  if (sampling.top_k > 0) {
    for (auto i = static_cast<std::size_t>(sampling.top_k); i < vocabulary; ++i)
      weight[order[i]] = 0;
  }
  const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
  double covered = 0;
  for (const std::size_t i : order) {
    if (covered >= sampling.top_p * all) weight[i] = 0;
    covered += weight[i];
  }
  const double kept = std::accumulate(weight.begin(), weight.end(), 0.0);
  for (double& w : weight) w /= kept;
  return weight;
}

std::vector<float> random_logits(std::size_t vocabulary, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  std::vector<float> logits(vocabulary);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// One draw for each of many seeds, against the exact distribution. With k cells χ² has mean k − 1
// and deviation √(2(k − 1)); five deviations is one false alarm in a million, and seeds are fixed
// anyway.
void expect_distribution(const Sampling& sampling, std::size_t vocabulary, unsigned logits_seed) {
  constexpr int kDraws = 40'000;
  const auto logits = random_logits(vocabulary, logits_seed);
  auto altered = logits;
  alter(altered, sampling);
  const auto expected = exact(altered, sampling);
  std::vector<int> seen(vocabulary);
  SamplerScratch scratch;
  for (int draw = 0; draw < kDraws; ++draw) {
    SequenceSampler sampler(sampling, kPrompt, {}, static_cast<std::uint64_t>(draw));
    for (const std::int32_t token : kSaid) sampler.record(token);
    ++seen[static_cast<std::size_t>(sampler.choose(logits, scratch))];
  }
  double chi_square = 0;
  double rest_expected = 0;
  double rest_seen = 0;
  int cells = 0;
  for (std::size_t i = 0; i < vocabulary; ++i) {
    if (expected[i] == 0) {
      ASSERT_EQ(seen[i], 0) << "token " << i << " was cut off";
    }
    if (expected[i] * kDraws < 5) {
      rest_expected += expected[i] * kDraws;
      rest_seen += seen[i];
      continue;
    }
    const double off = seen[i] - expected[i] * kDraws;
    chi_square += off * off / (expected[i] * kDraws);
    ++cells;
  }
  if (rest_expected >= 5) {
    chi_square += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
    ++cells;
  }
  EXPECT_LT(chi_square, (cells - 1) + 5 * std::sqrt(2.0 * (cells - 1)) + 1e-9);
}

TEST(Sampler, DrawsFromTheExactDistribution) {
  std::vector<Sampling> cases(13);
  cases[1].temperature = 0.6;
  cases[2].temperature = 1.7;
  cases[3].top_p = 0.8;
  cases[4].top_k = 7;
  cases[5].min_p = 0.1;
  cases[6].temperature = 0.8, cases[6].top_k = 40, cases[6].top_p = 0.9, cases[6].min_p = 0.02;
  cases[7].temperature = 2.0, cases[7].top_p = 0.97;
  cases[8].bias = {{2, 2.5f}, {9, -100.0f}, {11, 1.0f}};
  cases[9].repetition_penalty = 1.8;
  cases[10].frequency_penalty = 0.9;
  cases[11].presence_penalty = -1.5;
  cases[12].repetition_penalty = 0.7, cases[12].frequency_penalty = -0.5, cases[12].top_p = 0.9,
  cases[12].bias = {{3, 1.5f}}, cases[12].presence_penalty = 0.3;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    expect_distribution(cases[i], 200, static_cast<unsigned>(i + 1));
  }
}

TEST(Sampler, SuccessiveDrawsOfOneSeedAreIndependent) {
  const std::vector<float> even(4, 0.0f);
  SamplerScratch scratch;
  SequenceSampler sampler(Sampling{}, {}, {}, 7);
  std::vector<int> pairs(16);
  std::int32_t last = sampler.choose(even, scratch);
  for (int i = 0; i < 16'000; ++i) {
    sampler.record(last);
    const std::int32_t next = sampler.choose(even, scratch);
    ++pairs[static_cast<std::size_t>(last * 4 + next)];
    last = next;
  }
  for (const int count : pairs) EXPECT_NEAR(count, 1'000, 160);
}

TEST(Sampler, TemperatureZeroIsGreedyAndTiesGoToTheFirst) {
  Sampling sampling;
  sampling.temperature = 0;
  SamplerScratch scratch;
  const SequenceSampler sampler(sampling, {}, {}, 1);
  EXPECT_EQ(sampler.choose(std::vector<float>{1, 3, 3, 2}, scratch), 1);
}

TEST(Sampler, TheRequestsSeedDecides) {
  Sampling sampling;
  sampling.seed = 42;
  const auto logits = random_logits(500, 3);
  SamplerScratch scratch;
  SequenceSampler one(sampling, {}, {}, 1);
  SequenceSampler two(sampling, {}, {}, 2);
  std::vector<std::int32_t> answer;
  for (int i = 0; i < 50; ++i) {
    answer.push_back(one.choose(logits, scratch));
    EXPECT_EQ(answer.back(), two.choose(logits, scratch));
    one.record(answer.back());
    two.record(answer.back());
  }
  EXPECT_GT(std::set<std::int32_t>(answer.begin(), answer.end()).size(), 5u);
}

TEST(Sampler, FrequencyAndPresencePenaltiesCountGeneratedTokens) {
  Sampling sampling;
  sampling.temperature = 0;
  sampling.frequency_penalty = 0.5;
  sampling.presence_penalty = 0.25;
  const std::vector<std::int32_t> prompt{0};
  SequenceSampler sampler(sampling, prompt, {}, 1);
  SamplerScratch scratch;
  const std::vector<float> logits{2.0f, 1.2f};
  EXPECT_EQ(sampler.choose(logits, scratch), 0) << "the prompt does not count";
  sampler.record(0);
  EXPECT_EQ(sampler.choose(logits, scratch), 0) << "2 - 0.75 > 1.2";
  sampler.record(0);
  EXPECT_EQ(sampler.choose(logits, scratch), 1) << "2 - 1.25 < 1.2";
}

TEST(Sampler, RepetitionPenaltyCountsThePromptOnce) {
  Sampling sampling;
  sampling.temperature = 0;
  sampling.repetition_penalty = 2.0;
  const std::vector<std::int32_t> prompt{0, 0, 2};
  SequenceSampler sampler(sampling, prompt, {}, 1);
  sampler.record(0);
  SamplerScratch scratch;
  EXPECT_EQ(sampler.choose(std::vector<float>{3.0f, 1.4f, -1.0f}, scratch), 0) << "3/2 > 1.4";
  EXPECT_EQ(sampler.choose(std::vector<float>{3.0f, 1.6f, -1.0f}, scratch), 1);
  EXPECT_EQ(sampler.choose(std::vector<float>{-9.0f, -1.9f, -1.0f}, scratch), 1)
      << "a negative logit is multiplied: -1 becomes -2";
}

TEST(Sampler, NoEndBeforeTokensMin) {
  Sampling sampling;
  sampling.temperature = 0;
  sampling.tokens_min = 1;
  SequenceSampler sampler(sampling, {}, {0}, 1);
  SamplerScratch scratch;
  const std::vector<float> logits{9.0f, 1.0f};
  EXPECT_EQ(sampler.choose(logits, scratch), 1);
  sampler.record(1);
  EXPECT_EQ(sampler.choose(logits, scratch), 0);
}

TEST(Sampler, AStopTokenIsAnEndBeforeTokensMin) {
  Sampling sampling;
  sampling.temperature = 0;
  sampling.tokens_min = 1;
  sampling.stop_tokens = {1, 0};
  SequenceSampler sampler(sampling, {}, {0}, 1);
  SamplerScratch scratch;
  const std::vector<float> logits{9.0f, 8.0f, 1.0f};
  EXPECT_EQ(sampler.choose(logits, scratch), 2);
  sampler.record(2);
  EXPECT_EQ(sampler.choose(logits, scratch), 0);
}

// The logarithm of a softmax in double, beside which nothing may be off by more than rounding.
TEST(Logprobs, AreOfTheModelsOwnLogits) {
  SamplerScratch scratch;
  for (const std::size_t vocabulary : {2, 17, 1'000, 49'152}) {
    const auto logits = random_logits(vocabulary, 9);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const auto by_definition = [&](std::int32_t token) {
      return logits[static_cast<std::size_t>(token)] - std::log(sum);
    };
    const auto token = static_cast<std::int32_t>(vocabulary / 2);
    const ScoredToken scored = score(logits, token, 20, scratch);
    EXPECT_EQ(scored.token, token);
    EXPECT_NEAR(*scored.logprob, by_definition(token), 1e-5);
    const float own = logits[static_cast<std::size_t>(token)];
    EXPECT_EQ(scored.rank, 1 + std::count_if(logits.begin(), logits.end(),
                                             [own](float other) { return other > own; }));
    ASSERT_EQ(scored.likeliest.size(), std::min<std::size_t>(20, vocabulary));
    std::vector<float> sorted = logits;
    std::sort(sorted.rbegin(), sorted.rend());
    for (std::size_t i = 0; i < scored.likeliest.size(); ++i) {
      const LikelyToken& one = scored.likeliest[i];
      EXPECT_NEAR(one.logprob, by_definition(one.token), 1e-5);
      EXPECT_EQ(logits[static_cast<std::size_t>(one.token)], sorted[i]);
    }
    EXPECT_TRUE(score(logits, token, 0, scratch).likeliest.empty());
  }
}

TEST(Logprobs, AmongEqualsTheLowerIdComesFirst) {
  SamplerScratch scratch;
  const std::vector<float> logits{1.0f, 3.0f, 2.0f, 3.0f, 3.0f};
  const int ranks[] = {5, 1, 4, 2, 3};
  for (std::int32_t token = 0; token < 5; ++token)
    EXPECT_EQ(score(logits, token, 0, scratch).rank, ranks[token]) << token;
}

std::string feed(StopMatcher& matcher, const std::vector<std::string>& pieces) {
  std::string shown;
  for (const std::string& piece : pieces) shown += matcher.push(piece);
  return shown;
}

// Logits of a vocabulary whose tokens are not all allowed: as if the others had never been.
TEST(Sampler, DrawsOnlyWhatIsAllowedAndThatFromItsOwnDistribution) {
  constexpr std::size_t kVocabulary = 70;  // Words of a mask that end in the middle.
  auto logits = random_logits(kVocabulary, 5);
  std::vector<std::uint32_t> mask(3);
  std::vector<float> left;
  std::vector<std::size_t> ids;
  for (const std::size_t id : {0, 3, 31, 32, 63, 64, 69}) {
    mask[id / 32] |= std::uint32_t{1} << (id % 32);
    left.push_back(logits[id]);
    ids.push_back(id);
  }
  logits[1] = 50;
  Sampling sampling;
  sampling.top_p = 0.9;
  const auto expected = exact(left, sampling);
  std::vector<int> seen(kVocabulary);
  SamplerScratch scratch;
  constexpr int kDraws = 20'000;
  for (int draw = 0; draw < kDraws; ++draw) {
    SequenceSampler sampler(sampling, {}, {}, static_cast<std::uint64_t>(draw));
    sampler.allow(mask);
    ++seen[static_cast<std::size_t>(sampler.choose(logits, scratch))];
  }
  int allowed = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    allowed += seen[ids[i]];
    const double deviation = std::sqrt(kDraws * expected[i] * (1 - expected[i]));
    EXPECT_NEAR(seen[ids[i]], kDraws * expected[i], 5 * deviation + 1e-9) << ids[i];
  }
  EXPECT_EQ(allowed, kDraws);
}

TEST(Sampler, PenaltiesLiftNothingThatIsNotAllowed) {
  Sampling sampling;
  sampling.temperature = 0;
  sampling.repetition_penalty = 2.0;
  sampling.frequency_penalty = 2.0;
  SequenceSampler sampler(sampling, std::vector<std::int32_t>{0}, {}, 1);
  SamplerScratch scratch;
  const std::vector<std::uint32_t> mask{0b110};
  sampler.allow(mask);
  const std::vector<float> logits{9.0f, 1.0f, 0.5f};
  EXPECT_EQ(sampler.choose(logits, scratch), 1);
  sampler.record(1);
  EXPECT_EQ(sampler.choose(logits, scratch), 2);
}

TEST(Sampler, WhatMayOnlyEndEndsBeforeTokensMin) {
  Sampling sampling;
  sampling.temperature = 0;
  sampling.tokens_min = 5;
  SequenceSampler sampler(sampling, {}, {0}, 1);
  SamplerScratch scratch;
  const std::vector<float> logits{1.0f, 2.0f};
  const std::vector<std::uint32_t> only_end{0b01};
  const std::vector<std::uint32_t> both{0b11};
  sampler.allow(only_end);
  EXPECT_EQ(sampler.choose(logits, scratch), 0);
  sampler.allow(both);
  EXPECT_EQ(sampler.choose(logits, scratch), 1);
}

TEST(StopMatcher, HoldsBackWhatMayBecomeAStopString) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("the E"), "the ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("Dless"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("more"), "");
}

TEST(StopMatcher, KeepsTheStopStringWhereItIsToBeSeen) {
  StopMatcher matcher({"END"}, true);
  EXPECT_EQ(feed(matcher, {"the E", "N", "Dless"}), "the END");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, LetsGoWhatDidNotBecomeOne) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(feed(matcher, {"E", "N", "E", "N"}), "EN");
  EXPECT_EQ(matcher.finish(), "EN");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, FindsOverlappingBeginnings) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(feed(matcher, {"a", "a", "a", "b", "c"}), "a");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, PiecesMakeNoDifferenceAndNothingOfAStopGetsOut) {
  std::mt19937 random(11);
  const auto letters = [&](int most) {
    std::string text(std::uniform_int_distribution<std::size_t>(1, most)(random), ' ');
    for (char& letter : text) letter = "ab"[random() % 2];
    return text;
  };
  for (int round = 0; round < 10'000; ++round) {
    const std::vector<std::string> stops{letters(9), letters(9)};
    const std::string text = letters(120);
    // By definition: cut where a stop string is complete for the first time.
    std::string expected = text;
    for (std::size_t end = 1; end <= text.size() && expected == text; ++end) {
      for (const std::string& stop : stops) {
        if (!text.substr(0, end).ends_with(stop)) continue;
        expected = text.substr(0, end - stop.size());
        break;
      }
    }
    StopMatcher matcher(stops);
    std::string shown;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = 1 + random() % 4;
      shown += matcher.push(std::string_view(text).substr(at, length));
      ASSERT_TRUE(expected.starts_with(shown)) << "too much was shown";
      at += length;
    }
    shown += matcher.finish();
    ASSERT_EQ(shown, expected) << "text " << text << " stops " << stops[0] << " " << stops[1];
  }
}

}  // namespace
}  // namespace spillway::local
