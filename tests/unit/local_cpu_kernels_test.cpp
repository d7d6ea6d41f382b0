// The CPU's own kernels against arithmetic in double precision, for every instruction set this
// machine has.
#include "backends/local/loader/dequantize.h"
#include "backends/local/loader/tensor.h"
#include "backends/local/ops/cpu/attention_kernels.h"
#include "backends/local/ops/cpu/epilogues.h"
#include "backends/local/ops/cpu/packed_matrix.h"
#include "backends/local/ops/cpu/paged_attention.h"
#include "backends/local/ops/cpu/quantized_rows.h"
#include "backends/local/ops/cpu/team.h"
#include "backends/local/ops/cpu/tile_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numbers>
#include <random>

namespace spillway::local::ops {
namespace {

std::mt19937 random_source(7);

float normal(float deviation = 1.0f) {
  return std::normal_distribution<float>(0.0f, deviation)(random_source);
}

std::vector<float> normals(std::size_t count, float deviation = 1.0f) {
  std::vector<float> values(count);
  for (float& value : values) value = normal(deviation);
  return values;
}

// A tensor of random bytes in one of GGUF's types, with scales of a sensible size.
struct RandomTensor {
  std::vector<std::byte> bytes;
  loader::Tensor tensor;

  RandomTensor(loader::TensorType type, std::int64_t rows, std::int64_t columns) {
    const loader::BlockLayout layout = loader::layout_of(type);
    const auto blocks = static_cast<std::size_t>(rows * columns / layout.elements);
    const auto block_bytes = static_cast<std::size_t>(layout.bytes);
    bytes.resize(blocks * block_bytes);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_source() & 255);
    if (type == loader::TensorType::f32) {
      const auto values = normals(static_cast<std::size_t>(rows * columns), 0.1f);
      std::memcpy(bytes.data(), values.data(), bytes.size());
    } else {
      for (std::size_t block = 0; block < blocks; ++block) put_scales(type, block * block_bytes);
    }
    tensor.name = "random";
    tensor.type = type;
    tensor.shape = {rows, columns};
    tensor.pieces = {bytes};
  }

  void put_scales(loader::TensorType type, std::size_t at) {
    const int halves = type == loader::TensorType::q4_1 ? 2 : 1;
    for (int i = 0; i < halves; ++i) {
      const auto half = static_cast<_Float16>(normal(0.05f));
      std::memcpy(bytes.data() + at + static_cast<std::size_t>(i) * 2, &half, 2);
    }
  }

  std::vector<float> floats() const {
    std::vector<float> out(static_cast<std::size_t>(tensor.rows() * tensor.columns()));
    EXPECT_TRUE(loader::dequantize(tensor, out));
    return out;
  }
};

std::vector<RowSource> rows_of(const loader::Tensor& tensor) {
  std::vector<RowSource> rows;
  for (std::int64_t row = 0; row < tensor.rows(); ++row) rows.push_back({&tensor, row});
  return rows;
}

std::vector<std::pair<std::string, TileKernel>> kernels() {
  std::vector<std::pair<std::string, TileKernel>> all{{"portable", tile_portable}};
  const TileKernel best = choose_tile_kernel();
  if (best == tile_avx2 || best == tile_avx512_vnni) all.emplace_back("avx2", tile_avx2);
  if (best == tile_avx512_vnni) all.emplace_back("avx512", tile_avx512_vnni);
  return all;
}

TEST(PackedMatrix, KeepsTheFilesOwnBits) {
  for (const auto type :
       {loader::TensorType::q4_0, loader::TensorType::q4_1, loader::TensorType::q8_0}) {
    const RandomTensor source(type, 21, 96);
    const PackedMatrix packed(rows_of(source.tensor));
    EXPECT_EQ(packed.bits(), type == loader::TensorType::q8_0 ? Bits::eight : Bits::four);
    const auto expected = source.floats();
    std::vector<float> row(96);
    for (int i = 0; i < 21; ++i) {
      packed.read_row(i, row.data());
      for (std::size_t k = 0; k < 96; ++k) {
        const float value = expected[static_cast<std::size_t>(i) * 96 + k];
        // Q4_0's offset of -8 scales is a half, too: exact.
        ASSERT_NEAR(row[k], value, 1e-6f * std::abs(value) + 1e-9f) << "row " << i << " at " << k;
      }
    }
  }
}

TEST(PackedMatrix, RoundsOtherTypesToEightBits) {
  const RandomTensor source(loader::TensorType::f32, 16, 64);
  const PackedMatrix packed(rows_of(source.tensor));
  const auto expected = source.floats();
  std::vector<float> row(64);
  for (int i = 0; i < 16; ++i) {
    packed.read_row(i, row.data());
    for (std::size_t k = 0; k < 64; ++k) {
      ASSERT_NEAR(row[k], expected[static_cast<std::size_t>(i) * 64 + k], 0.4f / 127.0f);
    }
  }
}

// Σ w·x in double precision, and the sum of magnitudes that errors are measured by.
std::pair<double, double> exact_product(const float* w, const float* x, int columns) {
  double sum = 0;
  double size = 0;
  for (int k = 0; k < columns; ++k) {
    sum += double{w[k]} * x[k];
    size += std::abs(double{w[k]} * x[k]);
  }
  return {sum, size};
}

void expect_products(loader::TensorType type, int count) {
  constexpr int kColumns = 160;
  const RandomTensor source(type, 40, kColumns);
  const PackedMatrix packed(rows_of(source.tensor));
  const auto weights = source.floats();
  const auto x = normals(static_cast<std::size_t>(count) * kColumns, 3.0f);
  QuantizedRows rows;
  rows.resize(count, kColumns);
  for (int r = 0; r < count; ++r) rows.put(r, x.data() + r * kColumns);
  for (const auto& [name, kernel] : kernels()) {
    for (int r = 0; r < count; ++r) {
      alignas(64) float out[kTileRows * kBlockRows];
      kernel(packed, 1, rows, r / rows.tile_rows(), out);
      for (int lane = 0; lane < kBlockRows; ++lane) {
        const auto [expected, size] = exact_product(weights.data() + (16 + lane) * kColumns,
                                                    x.data() + r * kColumns, kColumns);
        ASSERT_NEAR(out[r % rows.tile_rows() * kBlockRows + lane], expected, 2e-5 * size)
            << name << ", row " << r << " of " << count << ", lane " << lane;
      }
    }
  }
}

TEST(TileKernels, AgreeWithDoublePrecision) {
  for (const auto type : {loader::TensorType::q4_1, loader::TensorType::q8_0}) {
    for (int count = 1; count <= 2 * kTileRows + 1; ++count) expect_products(type, count);
  }
}

TEST(QuantizedRows, NormsAsDefined) {
  const auto x = normals(64, 5.0f);
  const auto weight = normals(64);
  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  const double factor = 1.0 / std::sqrt(squares / 64 + 1e-5);
  QuantizedRows rows;
  rows.resize(1, 64);
  rows.put_normed(0, x.data(), weight.data(), 1e-5f);
  for (std::size_t k = 0; k < 64; ++k) {
    const float scale = rows.scales(0)[k / kGroup];
    const float value = scale * static_cast<float>(rows.values(0)[k]);
    EXPECT_NEAR(value, x[k] * factor * weight[k], scale);
  }
}

TEST(Epilogues, SiluAndGeluOfAnySize) {
  constexpr float kCases[]{0.0f, 1.0f, -1.0f, 20.0f, -20.0f, -87.5f, -200.0f, 200.0f};
  for (const float x : kCases) {
    alignas(64) float gate[kBlockRows];
    alignas(64) float up[kBlockRows];
    alignas(64) float out[kBlockRows];
    std::fill_n(gate, kBlockRows, x);
    std::fill_n(up, kBlockRows, 2.0f);
    silu_mul_tile(gate, up, 1, out, kBlockRows);
    const double expected = 2.0 * x / (1.0 + std::exp(-double{x}));
    EXPECT_NEAR(out[3], expected, 1e-5 * std::abs(expected) + 1e-30);
    gelu_mul_tile(gate, up, 1, out, kBlockRows);
    const double bent = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * std::pow(x, 3));
    const double gelu = x * (1.0 + std::tanh(bent));
    EXPECT_NEAR(out[3], gelu, 1e-5 * std::abs(gelu) + 1e-7);
  }
}

std::vector<std::pair<std::string, AttentionKernel>> attention_kernels() {
  std::vector<std::pair<std::string, AttentionKernel>> all{{"floats", attend_by_floats}};
  const AttentionKernel best = choose_attention_kernel();
  if (best == attend_avx512_vnni) all.emplace_back("avx512", attend_avx512_vnni);
  return all;
}

// Pages dealt at random, against softmax by definition.
template <int kWidth = 64>
void expect_attention(const ScoreRule& rule) {
  constexpr int kHeads = 2;
  constexpr int kContext = 75;
  std::vector<std::byte> key_memory(8 * kHeads * page_bytes(kWidth), std::byte{0xFF});
  std::vector<std::byte> value_memory(key_memory);  // What was never written must not matter: NaN.
  const Pages pages{key_memory.data(), value_memory.data(), kHeads, kWidth};
  const std::vector<std::int32_t> table{6, 0, 3, 7, 2};
  const auto keys = normals(kContext * kWidth);
  const auto values = normals(kContext * kWidth);
  for (int t = 0; t < kContext; ++t) {
    const std::int32_t slot = table[static_cast<std::size_t>(t / 16)] * 16 + t % 16;
    append(pages, slot, 1, keys.data() + t * kWidth, values.data() + t * kWidth);
  }
  for (const int count : {1, 3, 6, 8}) {
    const auto q = normals(static_cast<std::size_t>(count) * kWidth);
    std::vector<float> out(q.size());
    std::vector<const float*> queries;
    std::vector<float*> outputs;
    std::vector<int> positions;
    for (int i = 0; i < count; ++i) {
      queries.push_back(q.data() + i * kWidth);
      outputs.push_back(out.data() + i * kWidth);
      positions.push_back(i == 0 ? 0 : kContext - count + i);
    }
    for (const auto& [name, kernel] : attention_kernels()) {
      std::vector<float> scores;
      attend_head(kernel, pages, 1, table.data(), rule,
                  {count, queries.data(), outputs.data(), positions.data()}, scores);
      for (int i = 0; i < count; ++i) {
        std::vector<double> expected(kWidth);
        double total = 0;
        const int last = positions[static_cast<std::size_t>(i)];
        for (int t = rule.window > 0 ? std::max(0, last + 1 - rule.window) : 0; t <= last; ++t) {
          double score = 0;
          for (int d = 0; d < kWidth; ++d)
            score += double{q[i * kWidth + d]} * keys[t * kWidth + d];
          score *= rule.scale;
          if (rule.cap > 0.0f) score = rule.cap * std::tanh(score / rule.cap);
          const double weight = std::exp(score);
          total += weight;
          for (int d = 0; d < kWidth; ++d) expected[d] += weight * values[t * kWidth + d];
        }
        for (int d = 0; d < kWidth; ++d) {
          ASSERT_NEAR(out[i * kWidth + d], expected[d] / total, 2e-4)
              << name << ", query " << i << " of " << count;
        }
      }
    }
  }
}

TEST(PagedAttention, AgreesWithDoublePrecision) {
  expect_attention({0.125f});
  expect_attention<32>({0.18f});
  expect_attention<96>({0.1f});
  expect_attention<512>({0.04f});
}

TEST(PagedAttention, SeesItsWindowAndNoMore) {
  for (const int window : {1, 16, 17, 74, 75, 200}) expect_attention({0.125f, window});
}

TEST(PagedAttention, CapsScores) { expect_attention({0.125f, 20, 1.5f}); }

TEST(PagedAttention, RotatesPairsOfHalves) {
  std::vector<float> head{1, 2, 3, 4};
  const float angles[]{std::cos(0.5f), std::sin(0.5f), std::cos(2.0f), std::sin(2.0f)};
  rotate(head.data(), 4, angles);
  EXPECT_NEAR(head[0], 1 * std::cos(0.5) - 3 * std::sin(0.5), 1e-6);
  EXPECT_NEAR(head[2], 3 * std::cos(0.5) + 1 * std::sin(0.5), 1e-6);
  EXPECT_NEAR(head[1], 2 * std::cos(2.0) - 4 * std::sin(2.0), 1e-6);
  EXPECT_NEAR(head[3], 4 * std::cos(2.0) + 2 * std::sin(2.0), 1e-6);
}

TEST(Team, DoesEveryShareOnce) {
  for (const int threads : {1, 2, 4}) {
    Team team(threads);
    for (int round = 0; round < 3'000; ++round) {
      const int count = static_cast<int>(random_source() % 40);
      const int share = 1 + static_cast<int>(random_source() % 5);
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(count));
      team.deal(count, share, [&](int begin, int end) {
        EXPECT_LE(end - begin, share);
        for (int i = begin; i < end; ++i) ++done[static_cast<std::size_t>(i)];
      });
      for (const auto& times : done) ASSERT_EQ(times, 1);
    }
  }
}

}  // namespace
}  // namespace spillway::local::ops
