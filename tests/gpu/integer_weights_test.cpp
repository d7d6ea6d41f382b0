// Weights of 8 and 4 bits: packed by the host's rule to the bit, widened exactly, multiplied and
// run through whole decoders against double precision.
#include "backends/local/cuda/cuda_executor.h"
#include "backends/local/kernels/kernels.h"
#include "backends/local/quantize/integer_codes.h"
#include "backends/local/quantize/round_trip.h"
#include "tests/gpu/small_decoder.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;
using local::Precision;
namespace quantize = local::quantize;

constexpr int kGroup = quantize::kInt4Group;

int groups_of(int columns) { return (columns + kGroup - 1) / kGroup; }

// A matrix as the host packs it.
class HostMatrix {
 public:
  HostMatrix(std::vector<Bf16> values, int columns, WeightFormat format)
      : values(std::move(values)),
        columns(columns),
        rows(static_cast<int>(this->values.size()) / columns),
        format(format) {
    codes.resize(std::size_t(rows) * columns);
    const int span = format == kInt8 ? columns : kGroup;
    for (int row = 0; row < rows; ++row) {
      for (int from = 0; from < columns; from += span) {
        pack(row, from, std::min(columns, from + span));
      }
    }
  }

  double operator()(int row, int column) const {
    const int zero = format == kInt8 ? 0 : quantize::kInt4Zero;
    return double(codes[std::size_t(row) * columns + column] - zero) * scale(row, column);
  }
  float scale(int row, int column) const {
    return scales[format == kInt8 ? row : row * groups_of(columns) + column / kGroup];
  }

  // As kernels.h says that it lies in memory.
  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> out;
    if (format == kInt8) {
      for (const int code : codes) out.push_back(static_cast<std::uint8_t>(code));
      return out;
    }
    out.assign(std::size_t(rows) * groups_of(columns) * kGroup / 2, 0x88);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t row = i / columns, column = i % columns;
      const std::size_t nibble = column % 8 / 2 + column % 2 * 4;
      auto& byte = out[(row * groups_of(columns) * kGroup + column / 8 * 8 + nibble) / 2];
      const int shift = nibble % 2 * 4;
      byte = static_cast<std::uint8_t>((byte & ~(15 << shift)) | codes[i] << shift);
    }
    return out;
  }

  std::vector<std::uint16_t> int4_scales() const {
    std::vector<std::uint16_t> out;
    for (int group = 0; group < groups_of(columns); ++group) {
      for (int row = 0; row < rows; ++row) out.push_back(Bf16(scale(row, group * kGroup)).bits);
    }
    return out;
  }

  std::vector<Bf16> values;
  int columns;
  int rows;
  WeightFormat format;
  std::vector<int> codes;
  std::vector<float> scales;

 private:
  void pack(int row, int from, int to) {
    const auto first = values.begin() + long(std::size_t(row) * columns);
    const auto [smallest, largest] = std::minmax_element(first + from, first + to);
    const std::vector<float> group(first + from, first + to);
    const float scale = format == kInt8
                            ? quantize::int8_scale(std::max(float(*largest), -float(*smallest)))
                            : quantize::int4_scale_of(group);
    for (int i = from; i < to; ++i) {
      codes[std::size_t(row) * columns + i] = format == kInt8
                                                  ? quantize::int8_code(first[i], scale)
                                                  : quantize::int4_code(first[i], scale);
    }
    scales.push_back(scale);
  }
};

std::vector<Bf16> random_weights(int rows, int columns) {
  auto values = random_bf16(std::size_t(rows) * columns, 1.0f / std::sqrt(float(columns)));
  std::fill_n(values.begin(), columns, Bf16(0.0f));  // A row of zeros is one, too.
  return values;
}

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

struct DeviceMatrix {
  explicit DeviceMatrix(const HostMatrix& matrix)
      : weights(matrix.values),
        bytes(matrix.bytes().size()),
        scales(std::size_t(matrix.rows) * 4 * groups_of(matrix.columns)) {
    const PackWeights args = {bytes.get(), scales.get(),   weights.get(),
                              matrix.rows, matrix.columns, matrix.format};
    EXPECT_EQ(spillway_pack_weights(&args, nullptr), 0);
  }
  DeviceArray<Bf16> weights;
  DeviceArray<std::uint8_t> bytes, scales;
};

template <class T>
std::vector<T> leading(const DeviceArray<std::uint8_t>& from, std::size_t count) {
  const auto bytes = from.download();
  std::vector<T> out(count);
  std::memcpy(out.data(), bytes.data(), count * sizeof(T));
  return out;
}

TEST(IntegerWeights, ArePackedByTheHostsRuleAndWidenedExactly) {
  for (const WeightFormat format : {kInt8, kInt4}) {
    for (const int columns : {8, 64, 128, 576, 3584}) {
      const HostMatrix host(random_weights(21, columns), columns, format);
      DeviceMatrix device(host);
      EXPECT_EQ(device.bytes.download(), host.bytes()) << columns;
      if (format == kInt8) {
        EXPECT_EQ(leading<float>(device.scales, host.scales.size()), host.scales);
      } else {
        EXPECT_EQ(leading<std::uint16_t>(device.scales, host.scales.size()), host.int4_scales());
      }
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
  DeviceMatrix device(host);
  EXPECT_EQ(device.bytes.download(), host.bytes());
  EXPECT_EQ(leading<std::uint16_t>(device.scales, host.scales.size()), host.int4_scales());
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
  const HostMatrix host(random_weights(c.epilogue == kSiluMul ? 2 * c.n : c.n, c.k), c.k, c.format);
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
  for (const WeightFormat format : {kInt8, kInt4}) {
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
  for (const int k : {32, 96, 160}) expect_skinny({kInt4, 4, 32, k, kStoreBf16, true});
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
  const HostMatrix host(random_weights(c.n, c.k), c.k, c.format);
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
  for (const WeightFormat format : {kInt8, kInt4}) {
    for (const int rows : {1, 9, 32, 33, 64, 65, 128, 129, 300}) {
      expect_packed({format, rows, 136, 192, rows % 2 == 0});
    }
    for (const int k : {64, 128, 576, 1536, 9472}) expect_packed({format, 40, 200, k, true});
    expect_packed({format, 70, 2304, 2048, false});
    expect_packed({format, 200, 17'024, 64, false});
  }
  for (const int k : {8, 72, 200}) expect_packed({kInt4, 20, 64, k, false});
}

TEST(IntegerWeights, DozensOfTokensRefuseWhatTheyCannotTake) {
  PackedLinear args = {nullptr, nullptr, nullptr, nullptr, 1, 64, 96, kInt8, 0};
  EXPECT_NE(spillway_packed_linear(&args, nullptr), 0);
  args.format = kBf16;
  args.k = 128;
  EXPECT_NE(spillway_packed_linear(&args, nullptr), 0);
}

// What the reference takes: the weights as they are once packed.
void take_packed(DecoderReference& reference, const DecoderWeights& weights) {
  for (const auto& room : weights.rooms()) {
    if (room.scales == nullptr) continue;
    DeviceArray<Bf16> widened(room.elements);
    const int rows = static_cast<int>(room.elements / room.columns);
    const WidenWeights args = {
        widened.get(), room.data, room.scales,  0,
        rows,          rows,      room.columns, local::cuda::format_of(room.precision)};
    EXPECT_EQ(spillway_widen_weights(&args, nullptr), 0);
    reference.replace(room.name, widened.download());
  }
}

constexpr int kPackedRowsMax = 32;

void expect_decoder(const char* kind, Precision precision, bool kv_e4m3) {
  const DecoderShape shape = small_shape(kind);
  auto weights = DecoderWeights::allocate(shape);
  ASSERT_TRUE(weights);
  DecoderReference reference(shape, **weights);
  const auto packed = (*weights)->packed(shape, precision);
  ASSERT_TRUE(packed);
  EXPECT_LT((*packed)->bytes(), (*weights)->bytes());
  take_packed(reference, **packed);
  local::cuda::CudaExecutorOptions options;
  options.kv_blocks = kBlocks;
  options.sequences_max = 64;  // As many rows of logits.
  options.step_tokens_max = 128;
  options.precision = precision;
  options.packed_rows_max = kPackedRowsMax;
  options.kv_e4m3 = kv_e4m3;
  auto executor = make_cuda_executor(shape, options, std::move(*weights));
  ASSERT_TRUE(executor) << executor.error().message;
  auto free = shuffled_blocks();
  Running sequence(1, 150, shape.vocabulary, free);
  const auto expected = reference.logits(sequence.all);
  // Few tokens, dozens, and more than are multiplied packed.
  for (const int tokens : {1, 7, 8, 9, 20, 32, 33, 38, 1, 1}) {
    const std::size_t from = std::size_t(sequence.done) * shape.vocabulary;
    const Slice slice = sequence.next(tokens, tokens);
    const auto result = (*executor)->run(std::span(&slice, 1));
    ASSERT_TRUE(result) << result.error().message;
    expect_rows(result->logits,
                std::span(expected).subspan(from, std::size_t(tokens) * shape.vocabulary),
                shape.vocabulary, kind, (kv_e4m3 ? 8 : 1.3) * kLogitTolerance);
  }
}

TEST(IntegerWeights, DecodersMatchTheReferenceOfTheirWeights) {
  for (const char* kind : {"llama", "qwen2", "qwen3", "gemma3"}) {
    for (const Precision precision : {Precision::int8, Precision::int4}) {
      expect_decoder(kind, precision, false);
    }
  }
  expect_decoder("qwen2", Precision::int4, true);
  expect_decoder("smollm2", Precision::int4, false);
}

}  // namespace
}  // namespace spillway::gpu_test
