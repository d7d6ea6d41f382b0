// Embedding, RMS norm, silu · up and the advance of positions against double-precision references.
#include "backends/local/kernels/kernels.h"
#include "tests/gpu/device_array.h"
#include "tests/gpu/gate_reference.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr double kBf16Tolerance = 4e-3;

struct NormCase {
  int rows;
  int width;
  bool residual;
  bool gather;
};

void expect_norm(const NormCase& c) {
  const int source_rows = c.gather ? 3 * c.rows : c.rows;
  const auto width = static_cast<std::size_t>(c.width);
  const auto x = random_bf16(source_rows * width, 3.0f, 0.5f);
  const auto residual = random_bf16(source_rows * width);
  const auto weight = random_bf16(width, 0.3f, 1.0f);
  std::vector<std::int32_t> index(c.rows);
  for (int r = 0; r < c.rows; ++r) index[r] = c.gather ? 3 * r + random_int(0, 2) : r;
  std::vector<double> expected(c.rows * width);
  std::vector<double> stream(c.rows * width);
  for (int r = 0; r < c.rows; ++r) {
    double squares = 0.0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t at = index[r] * width + i;
      double s = x[at];
      if (c.residual) s = Bf16(float(x[at]) + float(residual[at]));
      stream[r * width + i] = s;
      squares += s * s;
    }
    const double scale = 1.0 / std::sqrt(squares / c.width + 1e-6);
    for (std::size_t i = 0; i < width; ++i)
      expected[r * width + i] = stream[r * width + i] * scale * weight[i];
  }
  DeviceArray<Bf16> d_x(x), d_residual(residual), d_weight(weight), d_out(c.rows * width);
  DeviceArray<std::int32_t> d_index(index);
  const RmsNorm args = {d_out.get(),
                        d_x.get(),
                        c.residual ? d_residual.get() : nullptr,
                        d_weight.get(),
                        c.gather ? d_index.get() : nullptr,
                        c.rows,
                        c.width,
                        1e-6f};
  ASSERT_EQ(spillway_rms_norm(&args, nullptr), 0);
  EXPECT_LT(worst_row_error(d_out.download(), expected, width), kBf16Tolerance)
      << c.rows << " × " << c.width;
  if (c.residual && !c.gather) {
    EXPECT_LT(worst_row_error(d_residual.download(), stream, width), 1e-6);
  }
}

TEST(ResidualKernels, NormMatchesTheDefinition) {
  for (const int width : {8, 64, 576, 1024, 3584, 8192, 16384}) {
    for (const int rows : {1, 5, 128}) {
      expect_norm({rows, width, false, false});
      expect_norm({rows, width, true, false});
      expect_norm({rows, width, false, true});
    }
  }
}

TEST(ResidualKernels, NormRefusesOddWidths) {
  RmsNorm args = {};
  args.rows = 1;
  args.width = 12;
  EXPECT_NE(spillway_rms_norm(&args, nullptr), 0);
}

TEST(ResidualKernels, EmbedTakesIdsAndSampledTokens) {
  constexpr int kVocabulary = 50;
  for (const int width : {8, 576, 3584}) {
    const auto table = random_bf16(kVocabulary * width);
    const std::vector<std::int32_t> last = {7, 49, 0, 12};
    const std::vector<std::int32_t> ids = {3, ~1, 49, ~3, 0};
    const std::vector<std::int32_t> meant = {3, 49, 49, 12, 0};
    DeviceArray<Bf16> d_table(table), d_out(ids.size() * width);
    DeviceArray<std::int32_t> d_ids(ids), d_last(last);
    const Embed args = {
        d_out.get(), d_table.get(), d_ids.get(), d_last.get(), static_cast<int>(ids.size()), width};
    ASSERT_EQ(spillway_embed(&args, nullptr), 0);
    const auto out = d_out.download();
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i].bits, table[meant[i / width] * width + i % width].bits) << i;
    }
  }
}

void expect_gated(int gate) {
  for (const int width : {8, 1536, 18944}) {
    for (const int rows : {1, 33}) {
      const auto gate_up = random_bf16(std::size_t(2) * rows * width, 2.0f);
      std::vector<double> expected(std::size_t(rows) * width);
      for (int r = 0; r < rows; ++r) {
        for (int i = 0; i < width; ++i) {
          const double half = gate_up[std::size_t(2 * r) * width + i];
          const double up = gate_up[std::size_t(2 * r + 1) * width + i];
          expected[std::size_t(r) * width + i] = gated(half, gate) * up;
        }
      }
      DeviceArray<Bf16> d_in(gate_up), d_out(expected.size());
      const GateRows args = {d_out.get(), d_in.get(), rows, width, gate};
      ASSERT_EQ(spillway_gate_rows(&args, nullptr), 0);
      EXPECT_LT(worst_row_error(d_out.download(), expected, width), kBf16Tolerance);
    }
  }
}

TEST(ResidualKernels, GatesMatchTheDefinition) {
  for (const int gate : {kSilu, kGelu}) expect_gated(gate);
}

TEST(ResidualKernels, EmbeddingsGrow) {
  constexpr int kWidth = 1152;
  constexpr float kGain = 33.94f;
  const auto table = random_bf16(std::size_t(3) * kWidth);
  DeviceArray<Bf16> d_table(table), d_out(table.size());
  DeviceArray<std::int32_t> d_ids(std::vector<std::int32_t>{0, 1, 2});
  const Embed args = {d_out.get(), d_table.get(), d_ids.get(), nullptr, 3, kWidth, kGain};
  ASSERT_EQ(spillway_embed(&args, nullptr), 0);
  std::vector<double> expected;
  for (const Bf16 value : table) expected.push_back(double(value) * kGain);
  EXPECT_LT(worst_row_error(d_out.download(), expected, kWidth), kBf16Tolerance);
}

TEST(ResidualKernels, RowsAreAddedNormed) {
  for (const int width : {8, 640, 2304, 16384}) {
    for (const bool scaled : {false, true}) {
      constexpr int kRows = 5;
      const auto x = random_bf16(std::size_t(kRows) * width, 3.0f);
      const auto before = random_bf16(x.size());
      const auto weight = random_bf16(width, 0.5f, 1.0f);
      std::vector<float> row_scales(kRows, 1.0f), column_scales(width, 1.0f);
      if (scaled) {
        for (float& scale : row_scales) scale = float(random_int(1, 9));
        for (float& scale : column_scales) scale = float(random_int(1, 9)) / 4.0f;
      }
      std::vector<double> expected;
      for (int r = 0; r < kRows; ++r) {
        const auto at = [&](int i) {
          return double(x[std::size_t(r) * width + i]) * row_scales[r] * column_scales[i];
        };
        double squares = 0.0;
        for (int i = 0; i < width; ++i) squares += at(i) * at(i);
        for (int i = 0; i < width; ++i) {
          expected.push_back(double(before[std::size_t(r) * width + i]) +
                             at(i) / std::sqrt(squares / width + 1e-6) * double(weight[i]));
        }
      }
      DeviceArray<Bf16> d_residual(before), d_x(x), d_weight(weight);
      DeviceArray<float> d_rows(row_scales), d_columns(column_scales);
      AddNormed args = {d_residual.get(), d_x.get(), d_weight.get(), kRows, width, 1e-6f};
      if (scaled) {
        args.x_scales = d_rows.get();
        args.column_scales = d_columns.get();
      }
      ASSERT_EQ(spillway_add_normed(&args, nullptr), 0);
      EXPECT_LT(worst_row_error(d_residual.download(), expected, width), 2 * kBf16Tolerance);
    }
  }
}

TEST(ResidualKernels, LogitsAreCapped) {
  constexpr int kCount = 4096 + 4;
  constexpr double kCap = 30.0;
  std::vector<float> logits;
  std::vector<double> expected;
  for (int i = 0; i < kCount; ++i) {
    logits.push_back(float(random_int(-100'000, 100'000)) / 500.0f);
    expected.push_back(kCap * std::tanh(double(logits.back()) / kCap));
  }
  DeviceArray<float> d(logits);
  const CapLogits args = {d.get(), kCount, float(kCap)};
  ASSERT_EQ(spillway_cap_logits(&args, nullptr), 0);
  EXPECT_LT(relative_error<float>(d.download(), expected), 1e-5);
}

TEST(ResidualKernels, AdvanceMovesRowsThatAreNotPadding) {
  std::vector<std::int32_t> positions(300);
  for (auto& position : positions) position = random_int(-1, 4);
  DeviceArray<std::int32_t> d(positions);
  ASSERT_EQ(spillway_advance(d.get(), 290, nullptr), 0);
  const auto after = d.download();
  for (int r = 0; r < 300; ++r) {
    EXPECT_EQ(after[r], r < 290 && positions[r] >= 0 ? positions[r] + 1 : positions[r]);
  }
}

TEST(ResidualKernels, PatchWritesWhatItIsTold) {
  std::vector<std::int32_t> words(5000);
  for (auto& word : words) word = random_int(-9, 9);
  DeviceArray<std::int32_t> d(words);
  std::vector<Patch> patches;
  for (int at = random_int(0, 5); at < 5000; at += random_int(1, 9))
    patches.push_back({at, random_int(0, 1 << 30)});
  DeviceArray<Patch> d_patches(patches);
  ASSERT_EQ(spillway_patch(d.get(), d_patches.get(), static_cast<int>(patches.size()), nullptr), 0);
  for (const Patch& patch : patches) words[patch.at] = patch.value;
  EXPECT_EQ(d.download(), words);
}

}  // namespace
}  // namespace spillway::gpu_test
