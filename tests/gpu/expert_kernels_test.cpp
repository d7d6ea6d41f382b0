// Routing and the sum of experts against double precision.
#include "backends/local/kernels/expert_kernels.h"

#include "tests/gpu/device_array.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr double kTolerance = 6e-3;  // Of bf16 results.

// ---- routing

struct Routed {
  std::vector<float> weights;
  std::vector<std::vector<int>> rows;  // Of each expert, sorted.
};

struct RoutingCase {
  RouteTokens args = {};
  std::vector<float> logits;
  std::vector<Bf16> bias;
  std::vector<std::int32_t> positions;

  RoutingCase(int rows, int experts, int chosen, int shared) {
    args.rows = rows;
    args.experts = experts;
    args.chosen = chosen;
    args.shared = shared;
    args.groups = args.groups_taken = 1;
    args.scale = 1.0f;
    std::normal_distribution<float> normal;
    for (int i = 0; i < rows * experts; ++i) logits.push_back(normal(generator()));
    for (int i = 0; i < rows; ++i) positions.push_back(random_int(0, 99));
  }

  int slots() const { return args.chosen + args.shared; }
  int all() const { return args.experts + args.shared; }

  Routed run() const {
    const DeviceArray<float> on_device(logits);
    const DeviceArray<Bf16> biases(bias);
    const DeviceArray<std::int32_t> at(positions);
    DeviceArray<float> weights(std::size_t(args.rows) * slots());
    DeviceArray<std::int32_t> lists(std::size_t(all()) * args.rows);
    DeviceArray<std::int32_t> counts(std::vector<std::int32_t>(all(), 0));
    RouteTokens call = args;
    call.weights = weights.get();
    call.lists = lists.get();
    call.counts = counts.get();
    call.logits = const_cast<DeviceArray<float>&>(on_device).get();
    call.bias = bias.empty() ? nullptr : const_cast<DeviceArray<Bf16>&>(biases).get();
    call.positions = const_cast<DeviceArray<std::int32_t>&>(at).get();
    call.list_stride = args.rows;
    check(spillway_route_tokens(&call, nullptr), "route");
    Routed routed;
    routed.weights = weights.download();
    const auto named = lists.download();
    const auto count = counts.download();
    for (int e = 0; e < all(); ++e) {
      const auto begin = named.begin() + std::ptrdiff_t(e) * args.rows;
      routed.rows.emplace_back(begin, begin + count[e]);
      std::sort(routed.rows.back().begin(), routed.rows.back().end());
    }
    return routed;
  }

  // Slot by slot: the expert and its weight.
  std::vector<std::pair<int, double>> expected(int row) const {
    std::vector<double> scores(logits.begin() + std::ptrdiff_t(row) * args.experts,
                               logits.begin() + std::ptrdiff_t(row + 1) * args.experts);
    double sum = 0.0;
    for (double& s : scores) sum += s = args.sigmoid ? 1.0 / (1.0 + std::exp(-s)) : std::exp(s);
    std::vector<double> choice;
    for (int e = 0; e < args.experts; ++e) {
      if (!args.sigmoid) scores[e] /= sum;
      choice.push_back(scores[e] + (bias.empty() ? 0.0 : double(bias[e])));
    }
    const int size = args.experts / args.groups;
    std::vector<std::pair<double, int>> groups;
    for (int g = 0; g < args.groups; ++g) {
      std::vector<double> of(choice.begin() + g * size, choice.begin() + (g + 1) * size);
      std::sort(of.rbegin(), of.rend());
      groups.emplace_back(-(bias.empty() ? of[0] : of[0] + of[1]), g);
    }
    std::sort(groups.begin(), groups.end());
    std::vector<std::pair<double, int>> eligible;
    for (int i = 0; i < args.groups_taken; ++i) {
      for (int e = groups[i].second * size; e < (groups[i].second + 1) * size; ++e) {
        eligible.emplace_back(-choice[e], e);
      }
    }
    std::sort(eligible.begin(), eligible.end());
    double chosen = 0.0;
    for (int j = 0; j < args.chosen; ++j) chosen += scores[eligible[j].second];
    std::vector<std::pair<int, double>> slots;
    for (int j = 0; j < args.chosen; ++j) {
      const int e = eligible[j].second;
      slots.emplace_back(e, scores[e] * args.scale / (args.normalised ? chosen : 1.0));
    }
    for (int s = 0; s < args.shared; ++s) slots.emplace_back(args.experts + s, 1.0);
    return slots;
  }

  void expect_as_defined() const {
    const Routed routed = run();
    std::vector<std::vector<int>> rows(all());
    for (int row = 0; row < args.rows; ++row) {
      const auto wanted = expected(row);
      for (int slot = 0; slot < slots(); ++slot) {
        const float weight = routed.weights[row * slots() + slot];
        if (positions[row] < 0) {
          EXPECT_EQ(weight, 0.0f);
          continue;
        }
        EXPECT_NEAR(weight, wanted[slot].second, 1e-5 * std::abs(args.scale)) << row;
        rows[wanted[slot].first].push_back(row * slots() + slot);
      }
    }
    EXPECT_EQ(routed.rows, rows);
  }
};

TEST(RouteTokens, SoftmaxTakesTheBest) {
  for (const int rows : {1, 3, 70}) RoutingCase(rows, 64, 6, 2).expect_as_defined();
  RoutingCase odd(9, 48, 1, 0);
  odd.args.scale = 2.5f;
  odd.args.normalised = 1;
  odd.expect_as_defined();
  RoutingCase(5, 256, 30, 2).expect_as_defined();
}

TEST(RouteTokens, GroupsAreTakenByTheirBestExperts) {
  RoutingCase plain(40, 160, 6, 2);
  plain.args.groups = 8;
  plain.args.groups_taken = 3;
  plain.args.scale = 16.0f;
  plain.expect_as_defined();
  RoutingCase biased(40, 256, 8, 1);
  biased.args.groups = 8;
  biased.args.groups_taken = 4;
  biased.args.sigmoid = biased.args.normalised = 1;
  biased.args.scale = 2.5f;
  biased.bias = random_bf16(256, 0.3f);
  biased.expect_as_defined();
}

TEST(RouteTokens, PaddingIsNoWork) {
  RoutingCase padded(12, 64, 6, 2);
  for (const int row : {0, 5, 11}) padded.positions[row] = -1;
  padded.expect_as_defined();
}

TEST(RouteTokens, ShapesThatDoNotFitAreRefused) {
  RouteTokens args = {};
  args.rows = 1;
  args.groups = args.groups_taken = 1;
  args.experts = kRoutedExpertsMax + 1;
  args.chosen = 1;
  EXPECT_NE(spillway_route_tokens(&args, nullptr), 0);
  args.experts = 64;
  args.chosen = kSlotsMax + 1;
  EXPECT_NE(spillway_route_tokens(&args, nullptr), 0);
}

// ---- the sum

void expect_sum(int epilogue) {
  constexpr int kRows = 7, kSlots = 5, kWidth = 2312;
  const auto residual = random_bf16(std::size_t(kRows) * kWidth);
  const auto answers = random_bf16(std::size_t(kRows) * kSlots * kWidth);
  std::vector<float> weights;
  for (int i = 0; i < kRows * kSlots; ++i) weights.push_back(0.1f * float(random_int(0, 20)));
  DeviceArray<Bf16> sum(residual), all(answers);
  DeviceArray<float> weigh(weights), floats(residual.size());
  DeviceArray<std::int32_t> counts(300);
  const bool adds = epilogue == kAddBf16;
  void* const out = epilogue == kStoreFloat ? static_cast<void*>(floats.get()) : sum.get();
  const SumExperts args = {out,    all.get(), weigh.get(), counts.get(), kRows,
                           kWidth, kSlots,    300,         epilogue};
  check(spillway_sum_experts(&args, nullptr), "sum");
  std::vector<double> expected(residual.size());
  if (adds) expected.assign(residual.begin(), residual.end());
  for (int row = 0; row < kRows; ++row) {
    for (int slot = 0; slot < kSlots; ++slot) {
      for (int i = 0; i < kWidth; ++i) {
        expected[row * kWidth + i] += double(weights[row * kSlots + slot]) *
                                      double(answers[(row * kSlots + slot) * kWidth + i]);
      }
    }
  }
  const double error = epilogue == kStoreFloat
                           ? worst_row_error(floats.download(), expected, kWidth)
                           : worst_row_error(sum.download(), expected, kWidth);
  EXPECT_LT(error, epilogue == kStoreFloat ? 1e-5 : kTolerance) << epilogue;
  EXPECT_EQ(counts.download(), std::vector<std::int32_t>(300, 0));
}

TEST(SumExperts, AnswersAreWeighedAndCountsCleared) {
  for (const int epilogue : {kStoreBf16, kStoreFloat, kAddBf16}) expect_sum(epilogue);
}

}  // namespace
}  // namespace spillway::gpu_test
