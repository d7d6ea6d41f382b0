// Weights of 8 and 4 bits: packed by the host's rule to the bit, widened exactly, and multiplied
// against double precision.
#include "tests/gpu/integer_matrix.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;
constexpr WeightFormat kFormats[] = {kInt8, kInt4, kInt4Zeros, kInt4Zeros64, kInt4Zeros32};

// As a file of four bits has them: groups on a grid of seven steps either way, one step short of
// what four bits can hold.
std::vector<Bf16> weights_on_grids(int rows, int columns) {
  auto values = random_weights(rows, columns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = 0.011f + 0.003f * float(i / kGroup % 7);
    const float code =
        i % kGroup < 2 ? 7.0f : std::rint(std::clamp(50.0f * values[i], -7.0f, 7.0f));
    values[i] = Bf16(scale * (i % 2 == 0 ? code : -code));
  }
  return values;
}

// As the device packs it.
struct PackedMatrix {
  explicit PackedMatrix(const HostMatrix& matrix)
      : weights(matrix.values), bytes(matrix.bytes().size()), scales(matrix.scale_bytes().size()) {
    const PackWeights args = {bytes.get(), scales.get(),   weights.get(),
                              matrix.rows, matrix.columns, matrix.format};
    EXPECT_EQ(spillway_pack_weights(&args, nullptr), 0);
  }
  DeviceArray<Bf16> weights;
  DeviceArray<std::uint8_t> bytes, scales;
};

TEST(IntegerWeights, ArePackedByTheHostsRule) {
  for (const WeightFormat format : {kInt8, kInt4}) {
    for (const int columns : {8, 64, 128, 576, 3584}) {
      const HostMatrix host(random_weights(21, columns), columns, format);
      PackedMatrix device(host);
      EXPECT_EQ(device.bytes.download(), host.bytes()) << columns;
      EXPECT_EQ(device.scales.download(), host.scale_bytes()) << columns;
    }
  }
}

TEST(IntegerWeights, AreWidenedExactly) {
  for (const WeightFormat format : kFormats) {
    for (const int columns : {8, 64, 128, 576, 3584}) {
      const auto host = HostMatrix::random(21, columns, format);
      DeviceMatrix device(host);
      constexpr int kFirst = 5, kRows = 13;
      DeviceArray<Bf16> out(std::size_t(kRows) * columns);
      const WidenWeights args = {
          out.get(), device.bytes.get(), device.scales.get(), kFirst, kRows, host.rows, columns,
          format};
      ASSERT_EQ(spillway_widen_weights(&args, nullptr), 0);
      const auto widened = out.download();
      for (int i = 0; i < kRows * columns; ++i) {
        const Bf16 expected(float(host(kFirst + i / columns, i % columns)));
        ASSERT_EQ(float(widened[i]), float(expected)) << format << " " << columns << " at " << i;
      }
    }
  }
}

TEST(IntegerWeights, KeepTheGridThatTheyLieOn) {
  const HostMatrix host(weights_on_grids(21, 512), 512, kInt4);
  PackedMatrix device(host);
  EXPECT_EQ(device.bytes.download(), host.bytes());
  EXPECT_EQ(device.scales.download(), host.scale_bytes());
  for (int i = 0; i < 21 * 512; ++i) {
    const double value = host.values[i];
    ASSERT_LE(std::abs(host(i / 512, i % 512) - value), std::abs(value) / 100.0);
  }
}

TEST(IntegerWeights, LoseAtMostHalfAStep) {
  for (const WeightFormat format : {kInt8, kInt4}) {
    const HostMatrix host(random_weights(9, 576), 576, format);
    for (int i = 0; i < 9 * 576; ++i) {
      // int4's most positive step may be one of which the scale has no code: 7 for 8.
      const double step = std::abs(host.scale(i / 576, i % 576)) * (format == kInt8 ? 0.51 : 1.01);
      ASSERT_LE(std::abs(host(i / 576, i % 576) - double(host.values[i])), step);
    }
  }
}

TEST(IntegerWeights, RefusesOtherFormats) {
  PackWeights pack = {nullptr, nullptr, nullptr, 1, 64, kE4m3};
  EXPECT_NE(spillway_pack_weights(&pack, nullptr), 0);
  pack.format = kInt4Zeros;
  EXPECT_NE(spillway_pack_weights(&pack, nullptr), 0);
  pack.format = kInt4;
  pack.columns = 12;
  EXPECT_NE(spillway_pack_weights(&pack, nullptr), 0);
}

struct LinearCase {
  WeightFormat format;
  int tokens;
  int n;
  int k;
  int epilogue;
  bool norm;
};

void expect_skinny(const LinearCase& c) {
  const auto x = random_bf16(std::size_t(c.tokens) * c.k);
  const auto norm_weight = random_bf16(c.k, 0.2f, 1.0f);
  const auto before = random_bf16(std::size_t(c.tokens) * c.n);
  const auto host = HostMatrix::random(c.epilogue == kSiluMul ? 2 * c.n : c.n, c.k, c.format);
  DeviceMatrix device(host);
  DeviceArray<Bf16> d_x(x), d_norm(norm_weight), d_out(before);
  DeviceArray<float> d_float(before.size());
  if (c.epilogue != kAddBf16) check(cudaMemset(d_out.get(), 0xff, d_out.bytes()), "poison");
  void* out = c.epilogue == kStoreFloat ? static_cast<void*>(d_float.get()) : d_out.get();
  const SkinnyLinear args = {out,
                             d_x.get(),
                             device.bytes.get(),
                             c.norm ? d_norm.get() : nullptr,
                             c.tokens,
                             c.n,
                             c.k,
                             0.0f,
                             c.epilogue,
                             device.scales.get(),
                             0,
                             c.format};
  ASSERT_EQ(spillway_skinny_linear(&args, nullptr), 0);
  std::vector<double> expected;
  for (int t = 0; t < c.tokens; ++t) {
    double squares = 0.0;
    for (int i = 0; i < c.k; ++i) squares += double(x[t * c.k + i]) * x[t * c.k + i];
    const double scale = c.norm ? 1.0 / std::sqrt(squares / c.k) : 1.0;
    const auto dot = [&](int row) {
      double sum = 0.0;
      for (int i = 0; i < c.k; ++i) {
        sum += scale * x[t * c.k + i] * (c.norm ? double(norm_weight[i]) : 1.0) * host(row, i);
      }
      return sum;
    };
    for (int i = 0; i < c.n; ++i) {
      double value = dot(i);
      if (c.epilogue == kAddBf16) value += before[std::size_t(t) * c.n + i];
      if (c.epilogue == kSiluMul) value *= dot(c.n + i) / (1.0 + std::exp(-value));
      expected.push_back(value);
    }
  }
  const double error = c.epilogue == kStoreFloat
                           ? worst_row_error(d_float.download(), expected, c.n)
                           : worst_row_error(d_out.download(), expected, c.n);
  EXPECT_LT(error, c.norm && c.epilogue == kSiluMul ? 1.1e-2 : 6e-3)
      << "format " << c.format << ", " << c.tokens << " tokens, n " << c.n << ", k " << c.k
      << ", epilogue " << c.epilogue;
}

TEST(IntegerWeights, FewTokens) {
  for (const WeightFormat format : kFormats) {
    for (int tokens = 1; tokens <= kSkinnyTokensMax; ++tokens) {
      expect_skinny({format, tokens, 64, 256, kStoreBf16, tokens % 2 == 0});
    }
    for (const int epilogue : {kStoreBf16, kStoreFloat, kAddBf16, kSiluMul}) {
      for (const bool norm : {false, true}) expect_skinny({format, 3, 160, 576, epilogue, norm});
    }
    for (const int k : {64, 3584, 9472, 18'944}) {
      expect_skinny({format, 2, 48, k, kAddBf16, false});
      expect_skinny({format, 8, 32, k, kSiluMul, true});
    }
    expect_skinny({format, 5, 4608, 192, kStoreBf16, true});
    expect_skinny({format, 5, 4624, 192, kStoreBf16, false});
  }
  for (const WeightFormat format : kFormats) {
    if (!is_int4(format)) continue;
    for (const int k : {32, 96, 160}) expect_skinny({format, 4, 32, k, kStoreBf16, true});
  }
}

struct PackedCase {
  WeightFormat format;
  int rows;
  int n;
  int k;
  bool add;
};

void expect_packed(const PackedCase& c) {
  const auto x = random_bf16(std::size_t(c.rows) * c.k);
  const auto before = random_bf16(std::size_t(c.rows) * c.n);
  const auto host = HostMatrix::random(c.n, c.k, c.format);
  DeviceMatrix device(host);
  DeviceArray<Bf16> d_x(x), d_out(before);
  if (!c.add) check(cudaMemset(d_out.get(), 0xff, d_out.bytes()), "poison");
  const PackedLinear args = {
      d_out.get(), d_x.get(), device.bytes.get(), device.scales.get(), c.rows, c.n, c.k,
      c.format,    c.add};
  ASSERT_EQ(spillway_packed_linear(&args, nullptr), 0);
  std::vector<double> expected;
  for (int t = 0; t < c.rows; ++t) {
    for (int i = 0; i < c.n; ++i) {
      double value = c.add ? double(before[std::size_t(t) * c.n + i]) : 0.0;
      for (int j = 0; j < c.k; ++j) value += double(x[std::size_t(t) * c.k + j]) * host(i, j);
      expected.push_back(value);
    }
  }
  EXPECT_LT(worst_row_error(d_out.download(), expected, c.n), 6e-3)
      << "format " << c.format << ", " << c.rows << " rows, n " << c.n << ", k " << c.k;
}

// Tiles that are full and not, blocks that share one by columns, stages that come round again.
TEST(IntegerWeights, DozensOfTokens) {
  for (const WeightFormat format : kFormats) {
    for (const int rows : {1, 9, 32, 33, 64, 65, 128, 129, 300}) {
      expect_packed({format, rows, 136, 192, rows % 2 == 0});
    }
    for (const int k : {64, 128, 576, 1536, 9472}) expect_packed({format, 40, 200, k, true});
    expect_packed({format, 70, 2304, 2048, false});
    expect_packed({format, 200, 17'024, 64, false});
  }
  for (const WeightFormat format : kFormats) {
    if (!is_int4(format)) continue;
    for (const int k : {8, 72, 200}) expect_packed({format, 20, 64, k, false});
  }
}

TEST(IntegerWeights, DozensOfTokensRefuseWhatTheyCannotTake) {
  PackedLinear args = {nullptr, nullptr, nullptr, nullptr, 1, 64, 96, kInt8, 0};
  EXPECT_NE(spillway_packed_linear(&args, nullptr), 0);
  args.format = kBf16;
  args.k = 128;
  EXPECT_NE(spillway_packed_linear(&args, nullptr), 0);
}

}  // namespace
}  // namespace spillway::gpu_test
