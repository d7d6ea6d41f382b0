// Routing, products of groups and the sum of experts against double precision.
#include "backends/local/kernels/expert_kernels.h"

#include "tests/gpu/device_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

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

// ---- products of groups

struct Product {
  GroupedLinear args = {};
  std::vector<std::vector<int>> lists;  // Empty: every row of each group.
  std::vector<Bf16> x, weight;
  std::size_t out_elements = 0;

  int half() const { return args.silu_mul ? 2 * args.n : args.n; }

  // Rows of out that the product fills: where each begins, its group and the row of x.
  template <class Visit>
  void for_each_row(Visit visit) const {
    for (int g = 0; g < args.groups; ++g) {
      const int count = lists.empty() ? args.rows : int(lists[g].size());
      for (int i = 0; i < count; ++i) {
        const int row = lists.empty() ? i : lists[g][i];
        visit(g, g * args.out_group + row * args.out_stride,
              g * args.x_group + row / args.x_share * args.x_stride);
      }
    }
  }

  std::vector<double> row(int group, std::int64_t from, const std::vector<Bf16>* norm) const {
    std::vector<double> in(x.begin() + from, x.begin() + from + args.k);
    if (norm != nullptr) {
      double squares = 0.0;
      for (const double v : in) squares += v * v;
      for (int i = 0; i < args.k; ++i)
        in[i] *= double((*norm)[i]) / std::sqrt(squares / args.k + 1e-6);
    }
    std::vector<double> sums(half(), 0.0);
    const std::size_t begin = std::size_t(group) * half() * args.k;
    for (int i = 0; i < half(); ++i) {
      for (int j = 0; j < args.k; ++j) {
        sums[i] += double(weight[begin + std::size_t(i) * args.k + j]) * in[j];
      }
    }
    if (!args.silu_mul) return sums;
    std::vector<double> out(args.n);
    for (int i = 0; i < args.n; ++i) {
      out[i] = sums[i] / (1.0 + std::exp(-sums[i])) * sums[args.n + i];
    }
    return out;
  }

  void expect_as_defined(bool skinny, const std::vector<Bf16>* norm = nullptr) const {
    const DeviceArray<Bf16> in(x), weights(weight);
    DeviceArray<Bf16> out(out_elements);
    std::vector<std::int32_t> flat(std::size_t(args.groups) * args.list_stride, 1 << 28), counts;
    for (std::size_t g = 0; g < lists.size(); ++g) {
      std::copy(lists[g].begin(), lists[g].end(), flat.begin() + long(g) * args.list_stride);
      counts.push_back(int(lists[g].size()));
    }
    const DeviceArray<std::int32_t> named(flat), count(counts);
    const DeviceArray<Bf16> norms(norm ? *norm : std::vector<Bf16>());
    GroupedLinear call = args;
    call.out = out.get();
    call.x = const_cast<DeviceArray<Bf16>&>(in).get();
    call.weight = const_cast<DeviceArray<Bf16>&>(weights).get();
    call.lists = lists.empty() ? nullptr : const_cast<DeviceArray<std::int32_t>&>(named).get();
    call.counts = const_cast<DeviceArray<std::int32_t>&>(count).get();
    if (skinny) {
      const GroupedSkinny few = {call, norm ? const_cast<DeviceArray<Bf16>&>(norms).get() : nullptr,
                                 1e-6f};
      check(spillway_grouped_skinny(&few, nullptr), "grouped skinny");
    } else {
      check(spillway_grouped_linear(&call, nullptr), "grouped linear");
    }
    auto got = out.download();
    for_each_row([&](int group, std::int64_t to, std::int64_t from) {
      const auto wanted = row(group, from, norm);
      const std::span<const Bf16> filled(got.data() + to, std::size_t(args.n));
      EXPECT_LT(relative_error<Bf16>(filled, wanted), kTolerance) << "group " << group;
      std::fill_n(got.begin() + to, args.n, Bf16(0.0f));
    });
    for (const Bf16 value : got) EXPECT_TRUE(value.bits == 0xffff || value.bits == 0);
  }
};

// Tokens that take `slots` experts each at random; with `share`, x has a row a token.
Product of_experts(int tokens, int groups, int slots, int n, int k, bool silu, bool share) {
  Product product;
  GroupedLinear& args = product.args;
  args.groups = groups;
  args.n = n;
  args.k = k;
  args.silu_mul = silu;
  args.x_share = share ? slots : 1;
  args.x_stride = k;
  args.out_stride = n;
  args.list_stride = tokens + 1;
  args.rows = tokens;
  args.rows_listed = tokens * slots;
  product.lists.resize(groups);
  for (int t = 0; t < tokens; ++t) {
    std::set<int> taken;
    while (int(taken.size()) < slots) {
      // Some groups are popular, and the first gets nothing.
      taken.insert(random_int(0, 3) == 0 ? groups - 1 - int(taken.size()) % 2
                                         : random_int(1, groups - 1));
    }
    int slot = 0;
    for (const int g : taken) product.lists[g].push_back(t * slots + slot++);
  }
  for (auto& list : product.lists) std::shuffle(list.begin(), list.end(), generator());
  product.x = random_bf16(std::size_t(tokens) * (share ? 1 : slots) * k);
  product.weight =
      random_bf16(std::size_t(groups) * product.half() * k, 1.0f / std::sqrt(float(k)));
  product.out_elements = std::size_t(tokens) * slots * n;
  return product;
}

// Groups that all have every row, side by side in wider rows.
Product of_heads(int rows, int groups, int n, int k) {
  Product product;
  GroupedLinear& args = product.args;
  args.groups = groups;
  args.n = n;
  args.k = k;
  args.x_share = 1;
  args.rows = rows;
  args.x_group = k + 16;
  args.x_stride = groups * args.x_group + 8;
  args.out_group = n + 64;
  args.out_stride = groups * args.out_group;
  product.x = random_bf16(std::size_t(rows) * args.x_stride);
  product.weight = random_bf16(std::size_t(groups) * n * k, 1.0f / std::sqrt(float(k)));
  product.out_elements = std::size_t(rows) * args.out_stride;
  return product;
}

TEST(GroupedLinear, RowsMeetTheWeightsOfTheirGroup) {
  for (const int tokens : {9, 60, 150, 400}) {
    of_experts(tokens, 8, 3, 128, 192, false, false).expect_as_defined(false);
    of_experts(tokens, 8, 3, 192, 64, true, true).expect_as_defined(false);
  }
}

TEST(GroupedLinear, WithoutListsEveryGroupHasAllRows) {
  for (const int rows : {1, 17, 65, 130}) of_heads(rows, 5, 256, 128).expect_as_defined(false);
}

TEST(GroupedLinear, ShapesThatDoNotFitAreRefused) {
  Product wide = of_heads(2, 2, 192, 64);
  EXPECT_NE(spillway_grouped_linear(&wide.args, nullptr), 0);
  Product deep = of_heads(2, 2, 128, 96);
  EXPECT_NE(spillway_grouped_linear(&deep.args, nullptr), 0);
}

TEST(GroupedSkinny, FewRowsMeetTheWeightsOfTheirGroup) {
  for (const int tokens : {1, 2, 5, 8}) {
    of_experts(tokens, 40, 3, 48, 1408, false, false).expect_as_defined(true);
    const auto norm = random_bf16(640, 0.2f, 1.0f);
    of_experts(tokens, 12, 4, 64, 640, true, true).expect_as_defined(true, &norm);
    of_heads(tokens, 5, 512, 128).expect_as_defined(true);
    of_heads(tokens, 3, 128, 512).expect_as_defined(true);
  }
}

// ---- the sum

TEST(SumExperts, AnswersAreWeighedAndCountsCleared) {
  constexpr int kRows = 7, kSlots = 5, kWidth = 2312;
  const auto residual = random_bf16(std::size_t(kRows) * kWidth);
  const auto answers = random_bf16(std::size_t(kRows) * kSlots * kWidth);
  std::vector<float> weights;
  for (int i = 0; i < kRows * kSlots; ++i) weights.push_back(0.1f * float(random_int(0, 20)));
  DeviceArray<Bf16> sum(residual), all(answers);
  DeviceArray<float> weigh(weights);
  DeviceArray<std::int32_t> counts(300);
  const SumExperts args = {sum.get(), all.get(), weigh.get(), counts.get(),
                           kRows,     kWidth,    kSlots,      300};
  check(spillway_sum_experts(&args, nullptr), "sum");
  std::vector<double> expected(residual.begin(), residual.end());
  for (int row = 0; row < kRows; ++row) {
    for (int slot = 0; slot < kSlots; ++slot) {
      for (int i = 0; i < kWidth; ++i) {
        expected[row * kWidth + i] += double(weights[row * kSlots + slot]) *
                                      double(answers[(row * kSlots + slot) * kWidth + i]);
      }
    }
  }
  EXPECT_LT(worst_row_error(sum.download(), expected, kWidth), kTolerance);
  EXPECT_EQ(counts.download(), std::vector<std::int32_t>(300, 0));
}

}  // namespace
}  // namespace spillway::gpu_test
