// Products of groups, and what they are in double precision.
#pragma once

#include "backends/local/kernels/expert_kernels.h"
#include "tests/gpu/e4m3_host.h"
#include "tests/gpu/integer_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace spillway::gpu_test {

using namespace kernels;

inline constexpr double kTolerance = 6e-3;      // Of bf16 results.
inline constexpr double kE4m3Tolerance = 1e-2;  // Products of E4M3 are summed in fewer bits.
// x by the norm's weight is rounded too, and that is in gate and in up: half of all rows are above
// 3e-3, one in a thousand near 6e-3.
inline constexpr double kNormedTolerance = 8e-3;

using Bytes = std::vector<std::uint8_t>;

struct Product {
  GroupedLinear args = {};
  std::vector<std::vector<int>> lists;       // Empty: every row of each group.
  std::vector<float> x, weight;              // What they count, and…
  Bytes x_bytes, weight_bytes, scale_bytes;  // …how they lie in memory.
  std::vector<float> x_scales;
  std::size_t out_elements = 0;

  int half() const { return args.silu_mul ? 2 * args.n : args.n; }

  void take_x(const std::vector<Bf16>& values) {
    x.assign(values.begin(), values.end());
    x_bytes = bytes_of(values);
  }

  // Rows of x in E4M3, with a scale each.
  void take_x_in_e4m3() { take_e4m3(x_bytes, x_scales, x, args.k, 0.3f); }

  void take_weights(int format) {
    args.format = format;
    const int rows = args.groups * half();
    const float size = 1.0f / std::sqrt(float(args.k));
    if (format == kBf16) {
      const auto values = random_bf16(std::size_t(rows) * args.k, size);
      weight.assign(values.begin(), values.end());
      weight_bytes = bytes_of(values);
    } else if (format == kE4m3) {
      weight.resize(std::size_t(rows) * args.k);
      std::vector<float> scales;
      take_e4m3(weight_bytes, scales, weight, args.k, 0.4f * size);
      scale_bytes = bytes_of(scales);
    } else {
      const HostMatrix matrix(random_bf16(std::size_t(rows) * args.k, size), args.k,
                              static_cast<WeightFormat>(format));
      for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < args.k; ++i) weight.push_back(float(matrix(row, i)));
      }
      weight_bytes = matrix.bytes();
      scale_bytes = matrix.scale_bytes();
    }
  }

  template <class T>
  static Bytes bytes_of(const std::vector<T>& values) {
    const auto* const from = reinterpret_cast<const std::uint8_t*>(values.data());
    return Bytes(from, from + values.size() * sizeof(T));
  }

  // Numbers from a quarter to 8, times a scale for each row of so many.
  static void take_e4m3(Bytes& bytes, std::vector<float>& scales, std::vector<float>& values,
                        int width, float size) {
    scales = random_scales(values.size() / width, size);
    bytes.clear();
    for (std::size_t i = 0; i < values.size(); ++i) {
      bytes.push_back(std::uint8_t(random_int(5, 9) << 3 | (random_int(0, 255) & 0x87)));
      values[i] = float(from_e4m3(bytes[i])) * scales[i / width];
    }
  }

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
        : in(product.x_bytes),
          in_scales(product.x_scales),
          weights(product.weight_bytes),
          scales(product.scale_bytes),
          out(product.out_elements),
          named(product.flat_lists()),
          counts(product.list_sizes()),
          call(product.args) {
      call.out = out.get();
      call.x = in.get();
      call.x_scales = in_scales.get();
      call.weight = weights.get();
      call.scales = product.scale_bytes.empty() ? nullptr : scales.get();
      call.lists = product.lists.empty() ? nullptr : named.get();
      call.counts = counts.get();
    }
    DeviceArray<std::uint8_t> in;
    DeviceArray<float> in_scales;
    DeviceArray<std::uint8_t> weights, scales;
    DeviceArray<Bf16> out;
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
    const double of_bf16 = norm != nullptr && args.silu_mul ? kNormedTolerance : kTolerance;
    const double tolerance = x_scales.empty() ? of_bf16 : kE4m3Tolerance;
    for_each_row([&](int group, std::int64_t to, std::int64_t from) {
      const auto wanted = row(group, from, norm);
      const std::span<const Bf16> filled(got.data() + to, std::size_t(args.n));
      EXPECT_LT(relative_error<Bf16>(filled, wanted), tolerance) << "group " << group;
      std::fill_n(got.begin() + to, args.n, Bf16(0.0f));
    });
    for (const Bf16 value : got) EXPECT_TRUE(value.bits == 0xffff || value.bits == 0);
  }
};

// Tokens that take `slots` experts each at random; with `share`, x has a row a token.
inline Product of_experts(int tokens, int groups, int slots, int n, int k, bool silu, bool share,
                          int format = kBf16) {
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
  product.take_x(random_bf16(std::size_t(tokens) * (share ? 1 : slots) * k));
  product.take_weights(format);
  product.out_elements = std::size_t(tokens) * slots * n;
  return product;
}

// Groups that all have every row, side by side in wider rows.
inline Product of_heads(int rows, int groups, int n, int k) {
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
  product.take_x(random_bf16(std::size_t(rows) * args.x_stride));
  product.take_weights(kBf16);
  product.out_elements = std::size_t(rows) * args.out_stride;
  return product;
}

}  // namespace spillway::gpu_test
