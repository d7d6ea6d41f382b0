// The sampler against exact distributions: what a cut keeps, how often each token comes, and that a
// draw depends on nothing but its seed and counter.
#include "backends/local/kernels/kernels.h"
#include "tests/gpu/device_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

struct Choice {
  float temperature = 1.0f;
  std::int32_t top_k = 0;
  float top_p = 1.0f;
  std::uint64_t seed = 0;
  std::int32_t counter = 0;
};

struct Drawn {
  std::vector<std::int32_t> token;
  std::vector<float> logprob;
  std::vector<std::int32_t> last;
};

template <class T, class Get>
DeviceArray<T> column(const std::vector<Choice>& choices, Get get) {
  std::vector<T> values;
  for (const Choice& choice : choices) values.push_back(get(choice));
  return DeviceArray<T>(values);
}

// Row r draws from logits row r, and its slot is 2r.
Drawn sample(const std::vector<float>& logits, const std::vector<Choice>& choices,
             bool greedy = false) {
  const int rows = static_cast<int>(choices.size());
  DeviceArray<float> d_logits(logits), d_logprob(rows);
  auto temperature = column<float>(choices, [](const Choice& c) { return c.temperature; });
  auto top_k = column<std::int32_t>(choices, [](const Choice& c) { return c.top_k; });
  auto top_p = column<float>(choices, [](const Choice& c) { return c.top_p; });
  auto seed = column<std::uint64_t>(choices, [](const Choice& c) { return c.seed; });
  auto counter = column<std::int32_t>(choices, [](const Choice& c) { return c.counter; });
  std::vector<std::int32_t> slots(rows);
  for (int r = 0; r < rows; ++r) slots[r] = 2 * r;
  DeviceArray<std::int32_t> d_slot(slots), d_token(rows), d_last(2 * rows);
  const Sample args = {
      d_token.get(), d_logprob.get(), d_logits.get(), greedy ? nullptr : temperature.get(),
      top_k.get(),   top_p.get(),     seed.get(),     counter.get(),
      d_slot.get(),  d_last.get(),    rows,           static_cast<int>(logits.size()) / rows};
  check(spillway_sample(&args, nullptr), "spillway_sample");
  return {d_token.download(), d_logprob.download(), d_last.download()};
}

std::vector<float> random_logits(int count, float deviation) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(generator());
  return logits;
}

double exact_logprob(const float* logits, int vocabulary, int token) {
  const double top = *std::max_element(logits, logits + vocabulary);
  double sum = 0.0;
  for (int i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - top);
  return logits[token] - top - std::log(sum);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  for (const int vocabulary : {4, 100, 49152, 151936}) {
    constexpr int kRows = 5;
    auto logits = random_logits(kRows * vocabulary, 3.0f);
    for (int i = 0; i < 2; ++i)
      logits[std::size_t(vocabulary) * 2 + random_int(0, vocabulary - 1)] = 50.0f;
    for (int i = 0; i < vocabulary; ++i)
      logits[std::size_t(vocabulary) * 3 + i] = -7.0f;  // All equal.
    for (const bool greedy : {true, false}) {
      Choice choice;
      choice.temperature = 0.0f;
      const Drawn drawn = sample(logits, std::vector<Choice>(kRows, choice), greedy);
      for (int r = 0; r < kRows; ++r) {
        const float* row = logits.data() + std::size_t(r) * vocabulary;
        const auto best = static_cast<int>(std::max_element(row, row + vocabulary) - row);
        EXPECT_EQ(drawn.token[r], best);
        EXPECT_EQ(drawn.last[2 * r], best);
        EXPECT_EQ(drawn.last[2 * r + 1], -1);
        EXPECT_NEAR(drawn.logprob[r], exact_logprob(row, vocabulary, best), 2e-4);
      }
    }
  }
}

// The tokens that a cut keeps, by definition.
std::set<int> kept(const std::vector<float>& logits, const Choice& choice) {
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  std::size_t count =
      choice.top_k > 0 ? std::min<std::size_t>(choice.top_k, order.size()) : order.size();
  std::vector<double> mass;
  for (const int i : order)
    mass.push_back(std::exp((double(logits[i]) - logits[order[0]]) / choice.temperature));
  const double total = std::accumulate(mass.begin(), mass.begin() + static_cast<long>(count), 0.0);
  double sum = 0.0;
  std::set<int> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.insert(order[i]);
    sum += mass[i];
    if (choice.top_p < 1.0f && sum >= choice.top_p * total * (1 - 1e-9)) break;
  }
  return out;
}

// Pearson's statistic against the exact probabilities, in units of its standard deviation.
double chi_square_excess(const std::map<int, int>& counts, const std::map<int, double>& probability,
                         int draws) {
  double statistic = 0.0;
  double rest_expected = 0.0;
  int rest_seen = 0;
  int cells = 0;
  for (const auto& [token, p] : probability) {
    const auto it = counts.find(token);
    const int seen = it == counts.end() ? 0 : it->second;
    if (p * draws < 8) {
      rest_expected += p * draws;
      rest_seen += seen;
      continue;
    }
    statistic += (seen - p * draws) * (seen - p * draws) / (p * draws);
    ++cells;
  }
  if (rest_expected >= 8) {
    statistic += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
    ++cells;
  }
  const double freedom = std::max(1, cells - 1);
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

void expect_distribution(const std::vector<float>& logits, Choice choice, int draws) {
  constexpr int kRows = 64;
  const auto allowed = kept(logits, choice);
  std::vector<float> rows;
  for (int r = 0; r < kRows; ++r) rows.insert(rows.end(), logits.begin(), logits.end());
  std::map<int, int> counts;
  for (int done = 0; done < draws; done += kRows) {
    std::vector<Choice> choices(kRows, choice);
    for (int r = 0; r < kRows; ++r) {
      choices[r].seed = generator()();
      choices[r].counter = random_int(0, 1000);
    }
    for (const int token : sample(rows, choices).token) ++counts[token];
  }
  double total = 0.0;
  std::map<int, double> probability;
  const float top = *std::max_element(logits.begin(), logits.end());
  for (const int token : allowed)
    total += std::exp((double(logits[token]) - top) / choice.temperature);
  for (const int token : allowed) {
    probability[token] = std::exp((double(logits[token]) - top) / choice.temperature) / total;
  }
  for (const auto& [token, count] : counts) {
    EXPECT_TRUE(allowed.contains(token)) << token << " drawn " << count << " times outside the cut";
  }
  EXPECT_LT(chi_square_excess(counts, probability, draws), 5.0)
      << "T " << choice.temperature << " k " << choice.top_k << " p " << choice.top_p;
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const auto logits = random_logits(1000, 2.0f);
  expect_distribution(logits, {1.0f, 0, 1.0f}, 12800);
  expect_distribution(logits, {0.7f, 20, 1.0f}, 12800);
  expect_distribution(logits, {1.3f, 0, 0.6f}, 12800);
  expect_distribution(logits, {0.9f, 50, 0.8f}, 12800);
}

TEST(Sampler, CutsOfALargeFlatVocabulary) {
  const auto logits = random_logits(151936, 1.0f);
  expect_distribution(logits, {1.0f, 3, 1.0f}, 640);
  expect_distribution(logits, {1.0f, 1, 0.5f}, 64);
  expect_distribution(logits, {1.0f, 0, 0.0001f}, 640);
  expect_distribution(logits, {1.0f, 0, 0.3f}, 640);
  expect_distribution(logits, {1.0f, 40000, 0.9f}, 640);
}

TEST(Sampler, EqualsOfTheLastKeptAreKeptToo) {
  std::vector<float> logits(256, 1.0f);
  logits[17] = 2.0f;
  std::set<int> seen;
  for (int i = 0; i < 40; ++i) {
    std::vector<float> rows;
    std::vector<Choice> choices(64, Choice{1.0f, 2, 1.0f});
    for (auto& choice : choices) {
      choice.seed = generator()();
      rows.insert(rows.end(), logits.begin(), logits.end());
    }
    for (const int token : sample(rows, choices).token) seen.insert(token);
  }
  EXPECT_EQ(seen.size(), 256u);
}

TEST(Sampler, ADrawDependsOnSeedAndCounterAlone) {
  constexpr int kVocabulary = 5000;
  const auto wanted = random_logits(kVocabulary, 1.0f);
  const Choice choice = {1.0f, 0, 0.95f, generator()(), 17};
  const int alone = sample(wanted, {choice}).token[0];
  for (const int rows : {2, 9, 140}) {
    auto logits = random_logits(rows * kVocabulary, 1.0f);
    const int at = random_int(0, rows - 1);
    std::copy(wanted.begin(), wanted.end(), logits.begin() + long(at) * kVocabulary);
    std::vector<Choice> choices(rows, Choice{1.0f, 5, 0.9f, generator()(), 3});
    choices[at] = choice;
    EXPECT_EQ(sample(logits, choices).token[at], alone);
  }
  std::set<int> others;
  for (int i = 0; i < 20; ++i) {
    Choice other = choice;
    other.counter += i + 1;
    others.insert(sample(wanted, {other}).token[0]);
  }
  EXPECT_GT(others.size(), 10u);
}

}  // namespace
}  // namespace spillway::gpu_test
