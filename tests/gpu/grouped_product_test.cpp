// Products of groups against double precision.
#include "backends/local/kernels/expert_kernels.h"
#include "tests/gpu/device_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr double kTolerance = 6e-3;  // Of bf16 results.

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

  struct OnDevice {
    explicit OnDevice(const Product& product)
        : in(product.x),
          weights(product.weight),
          out(product.out_elements),
          named(product.flat_lists()),
          counts(product.list_sizes()),
          call(product.args) {
      call.out = out.get();
      call.x = in.get();
      call.weight = weights.get();
      call.lists = product.lists.empty() ? nullptr : named.get();
      call.counts = counts.get();
    }
    DeviceArray<Bf16> in, weights, out;
    DeviceArray<std::int32_t> named, counts;
    GroupedLinear call;
  };

  std::vector<std::int32_t> flat_lists() const {
    std::vector<std::int32_t> flat(std::size_t(args.groups) * args.list_stride, 1 << 28);
    for (std::size_t g = 0; g < lists.size(); ++g) {
      std::copy(lists[g].begin(), lists[g].end(), flat.begin() + long(g) * args.list_stride);
    }
    return flat;
  }

  std::vector<std::int32_t> list_sizes() const {
    std::vector<std::int32_t> sizes;
    for (const auto& list : lists) sizes.push_back(int(list.size()));
    return sizes;
  }

  void expect_as_defined(bool skinny, const std::vector<Bf16>* norm = nullptr) const {
    OnDevice device(*this);
    const DeviceArray<Bf16> norms(norm ? *norm : std::vector<Bf16>());
    if (skinny) {
      const GroupedSkinny few = {
          device.call, norm ? const_cast<DeviceArray<Bf16>&>(norms).get() : nullptr, 1e-6f};
      check(spillway_grouped_skinny(&few, nullptr), "grouped skinny");
    } else {
      check(spillway_grouped_linear(&device.call, nullptr), "grouped linear");
    }
    expect_in(device.out.download(), norm);
  }

  // What the product fills is as defined, and the rest is untouched.
  void expect_in(std::vector<Bf16> got, const std::vector<Bf16>* norm = nullptr) const {
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
  args.rows_usual = args.rows_listed / groups;
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
  for (const int tokens : {9, 60, 150, 270, 340, 430, 520, 700}) {
    of_experts(tokens, 8, 3, 128, 192, false, false).expect_as_defined(false);
    of_experts(tokens, 8, 3, 192, 64, true, true).expect_as_defined(false);
  }
}

TEST(GroupedLinear, RowsOfWeightsNeedNotFillTheirLastTile) {
  of_experts(90, 6, 3, 144, 128, false, false).expect_as_defined(false);
  of_experts(90, 6, 3, 80, 128, true, true).expect_as_defined(false);
}

TEST(GroupedLinear, WithoutListsEveryGroupHasAllRows) {
  for (const int rows : {1, 17, 65, 130}) of_heads(rows, 5, 256, 128).expect_as_defined(false);
}

// Blocks have several tiles, and go round their stages often.
TEST(GroupedLinear, ManyTilesOfManyStages) {
  of_experts(300, 66, 8, 512, 704, false, false).expect_as_defined(false);
}

// So many tokens a group that blocks share weights.
TEST(GroupedLinear, ManyTilesOfSharedWeights) {
  of_experts(1700, 20, 3, 1040, 320, false, false).expect_as_defined(false);
  of_experts(1100, 12, 3, 560, 448, true, true).expect_as_defined(false);
}

TEST(GroupedLinear, OneMayFollowAnotherOfTheSameLists) {
  for (const int tokens : {20, 200, 700}) {
    const int groups = tokens < 700 ? 24 : 8;
    const Product first = of_experts(tokens, groups, 4, 704, 512, true, true);
    Product second = of_experts(tokens, groups, 4, 512, 704, false, false);
    second.lists = first.lists;
    Product::OnDevice one(first), other(second);
    other.call.x = one.out.get();
    other.call.after_same_lists = 1;
    for (int i = 0; i < 10; ++i) {  // Also while the one before is still at work.
      check(spillway_grouped_linear(&one.call, nullptr), "first");
      check(spillway_grouped_linear(&other.call, nullptr), "second");
    }
    second.x = one.out.download();
    first.expect_in(second.x);
    second.expect_in(other.out.download());
  }
}

TEST(GroupedLinear, ShapesThatDoNotFitAreRefused) {
  Product wide = of_heads(2, 2, 136, 64);
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

}  // namespace
}  // namespace spillway::gpu_test
