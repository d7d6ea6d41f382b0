// Scores of tokens against double precision: the one that was drawn or given, and the likeliest.
#include "backends/local/kernels/score_kernels.h"
#include "tests/gpu/device_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr double kTolerance = 2e-4;
constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int kEach = 1 + kLikeliestMax;

struct Rows {
  int vocabulary = 0;
  std::vector<float> logits = {};
  std::vector<std::int32_t> wanted = {};
  std::vector<std::int32_t> given = {};
  std::vector<std::int32_t> drawn = {};

  int count() const { return static_cast<int>(wanted.size()); }
  const float* row(int at) const { return logits.data() + std::size_t(at) * vocabulary; }

  void add(std::vector<float> row, int want) {
    logits.insert(logits.end(), row.begin(), row.end());
    wanted.push_back(want);
    given.push_back(random_int(0, 1) == 0 ? -1 : random_int(0, vocabulary - 1));
    drawn.push_back(random_int(0, vocabulary - 1));
  }

  std::vector<TokenScore> scores() const {
    DeviceArray<float> d_logits(logits);
    DeviceArray<std::int32_t> d_wanted(wanted), d_given(given), d_drawn(drawn);
    DeviceArray<TokenScore> d_scores(std::size_t(count()) * kEach);
    const ScoreRows args = {d_scores.get(), d_logits.get(), d_wanted.get(), d_given.get(),
                            d_drawn.get(),  count(),        vocabulary};
    check(spillway_score_rows(&args, nullptr), "spillway_score_rows");
    return d_scores.download();
  }
};

// log(Σ e^logit) of the row.
double total_of(const float* row, int vocabulary) {
  const double top = *std::max_element(row, row + vocabulary);
  double sum = 0.0;
  for (int i = 0; i < vocabulary; ++i) sum += std::exp(row[i] - top);
  return top + std::log(sum);
}

void expect_score(const TokenScore& score, int token, double logprob) {
  EXPECT_EQ(score.token, token);
  if (std::isinf(logprob)) {
    EXPECT_EQ(score.logprob, logprob);
  } else {
    EXPECT_NEAR(score.logprob, logprob, kTolerance);
  }
}

void expect_as_defined(const Rows& rows) {
  const auto scores = rows.scores();
  for (int r = 0; r < rows.count(); ++r) {
    SCOPED_TRACE("row " + std::to_string(r) + " of " + std::to_string(rows.vocabulary));
    const TokenScore* const own = scores.data() + std::size_t(r) * kEach;
    const float* const row = rows.row(r);
    const int wanted = rows.wanted[r];
    for (int i = std::max(0, 1 + wanted); i < kEach; ++i) EXPECT_EQ(own[i].token, -1);
    if (wanted < 0) continue;
    const double total = total_of(row, rows.vocabulary);
    const int token = rows.given[r] >= 0 ? rows.given[r] : rows.drawn[r];
    expect_score(own[0], token, row[token] - total);
    int rank = 1;
    for (int i = 0; i < rows.vocabulary; ++i)
      rank += row[i] > row[token] || (row[i] == row[token] && i < token) ? 1 : 0;
    EXPECT_EQ(own[0].rank, rank);
    std::vector<int> order(rows.vocabulary);
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + wanted, order.end(),
                      [&](int a, int b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    for (int i = 0; i < wanted; ++i) {
      expect_score(own[1 + i], order[i], row[order[i]] - total);
      EXPECT_EQ(own[1 + i].rank, 1 + i);
    }
  }
}

std::vector<float> normal_row(int count, float deviation) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> row(count);
  for (float& logit : row) logit = normal(generator());
  return row;
}

TEST(ScoreRows, RandomRowsOfAllSizes) {
  for (const int vocabulary : {32, 512, 4096, 49152, 151936, 262144}) {
    Rows rows{vocabulary};
    for (const int wanted : {20, 0, -1, 1, 5, 20, 19, -1}) {
      rows.add(normal_row(vocabulary, random_int(0, 1) == 0 ? 3.0f : 0.01f), wanted);
    }
    expect_as_defined(rows);
  }
}

TEST(ScoreRows, EqualsComeInTheOrderOfTheirIds) {
  constexpr int kVocabulary = 20'000;
  Rows rows{kVocabulary};
  rows.add(std::vector<float>(kVocabulary, -7.0f), 20);
  std::vector<float> few(kVocabulary);
  for (float& logit : few) logit = float(random_int(0, 3));
  rows.add(few, 20);
  for (float& logit : few) logit = logit == 0.0f && random_int(0, 1) == 0 ? -0.0f : 0.0f;
  rows.add(few, 20);
  expect_as_defined(rows);
}

// All of the likeliest in one thread's share, and as many as there can be candidates.
TEST(ScoreRows, LikeliestInOnePlace) {
  constexpr int kVocabulary = 100'000, kStride = 4096;
  Rows rows{kVocabulary};
  auto row = normal_row(kVocabulary, 1.0f);
  for (int i = 0; i < 24; ++i) row[4 * 7 + i * kStride] = 30.0f + float(i);
  rows.add(row, 20);
  auto shares = normal_row(kVocabulary, 1.0f);
  for (int i = 0; i < kVocabulary; ++i) {
    if (i / 4 % 1024 < 20) shares[i] += 50.0f;
  }
  rows.add(shares, 20);
  expect_as_defined(rows);
}

TEST(ScoreRows, WhatIsForbiddenHasNoProbability) {
  constexpr int kVocabulary = 8192;
  Rows rows{kVocabulary};
  std::vector<float> row(kVocabulary, kNever);
  for (int i = 0; i < 7; ++i) row[random_int(0, kVocabulary - 1)] = float(i);
  rows.add(row, 20);
  rows.given[0] = 0;
  expect_as_defined(rows);
}

}  // namespace
}  // namespace spillway::gpu_test
