// Decode and prefill attention over random pages against double precision; unused KV slots hold
// NaN.
#include "tests/gpu/rope_reference.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr double kTolerance = 6e-3;

const AttentionShape kShapes[] = {{7, 1, 128},  {16, 8, 128}, {9, 3, 64},  {4, 4, 64},
                                  {16, 1, 128}, {12, 1, 64},  {8, 4, 256}, {4, 1, 256}};

// What Gemma and Mistral do: a window, scores that are capped, both.
const AttentionShape kNarrowed[] = {{7, 1, 128, 40},     {9, 3, 64, 1},    {8, 4, 256, 64, 5.0},
                                    {6, 2, 128, 0, 2.0}, {4, 1, 256, 100}, {4, 4, 64, 33, 3.0}};

std::vector<int> random_lengths(int count, int longest) {
  std::vector<int> lengths(count);
  for (int& length : lengths) length = random_int(1, longest);
  return lengths;
}

// Queries lie in rows that are wider than the q heads, as in a fused projection.
struct Queries {
  Queries(const AttentionShape& shape, int rows)
      : stride((shape.q_heads + 2 * shape.kv_heads) * shape.width),
        values(random_bf16(std::size_t(rows) * stride, 1.5f)) {}
  const Bf16* at(int row, int head, int width) const {
    return values.data() + std::size_t(row) * stride + head * width;
  }

  int stride;
  std::vector<Bf16> values;
};

std::vector<Bf16> to_bf16(const std::vector<double>& values) {
  std::vector<Bf16> out;
  for (const double value : values) out.emplace_back(float(value));
  return out;
}

double row_distance(const std::vector<Bf16>& got, const std::vector<Bf16>& expected, std::size_t at,
                    int width) {
  const std::vector<double> row(expected.begin() + long(at), expected.begin() + long(at) + width);
  return relative_error<Bf16>({got.data() + at, std::size_t(width)}, row);
}

void expect_decode(const AttentionShape& shape, const std::vector<int>& lengths, int splits) {
  const int rows = static_cast<int>(lengths.size());
  PagedCache cache(shape, lengths);
  cache.fill();
  const Queries queries(shape, rows);
  std::vector<std::int32_t> positions(rows);
  std::vector<double> expected;
  for (int r = 0; r < rows; ++r) {
    positions[r] = lengths[r] - 1;
    for (int head = 0; head < shape.q_heads; ++head) {
      const auto out = lengths[r] == 0
                           ? std::vector<double>(shape.width, 0.0)
                           : cache.attend(queries.at(r, head, shape.width), r, head, lengths[r]);
      expected.insert(expected.end(), out.begin(), out.end());
    }
  }
  DeviceArray<Bf16> d_q(queries.values), d_keys(cache.keys), d_values(cache.values),
      d_out(expected.size());
  DeviceArray<std::int32_t> d_table(cache.table), d_positions(positions);
  DecodeAttention args = decode_args(shape, cache.page_stride, rows, splits);
  args.out = d_out.get();
  args.q = d_q.get();
  args.q_stride = queries.stride;
  args.keys = d_keys.get();
  args.values = d_values.get();
  args.page_table = d_table.get();
  args.positions = d_positions.get();
  ASSERT_EQ(spillway_decode_attention(&args, nullptr), 0);
  EXPECT_LT(worst_row_error(d_out.download(), expected, shape.width), kTolerance)
      << shape.q_heads << "/" << shape.kv_heads << " × " << shape.width << ", splits " << splits;
}

TEST(DecodeAttention, MatchesForAllShapesAndSplits) {
  for (const AttentionShape& shape : kShapes) {
    for (const int splits : {1, 2, 4, 8, 16}) expect_decode(shape, random_lengths(5, 700), splits);
  }
}

TEST(DecodeAttention, WindowsAndCapsOfAllSplits) {
  for (const AttentionShape& shape : kNarrowed) {
    for (const int splits : {1, 2, 16}) {
      auto lengths = random_lengths(4, 400);
      lengths.insert(lengths.end(), {std::max(1, shape.window), shape.window + 1, 0});
      expect_decode(shape, lengths, splits);
    }
  }
}

TEST(DecodeAttention, EdgesOfPages) {
  for (const int splits : {1, 2})
    expect_decode(kShapes[0], {1, 15, 16, 17, 63, 64, 65, 128}, splits);
}

TEST(DecodeAttention, PaddingRowsYieldZeros) {
  for (const int splits : {1, 4}) expect_decode(kShapes[1], {40, 0, 33, 0}, splits);
}

TEST(DecodeAttention, LongContext) { expect_decode(kShapes[2], {5000, 3}, 16); }

TEST(DecodeAttention, RefusesOddSplits) {
  DecodeAttention args = {};
  args.q_heads = args.kv_heads = args.rows = 1;
  args.head_width = 128;
  for (const int splits : {0, 3, 32}) {
    args.splits = splits;
    EXPECT_NE(spillway_decode_attention(&args, nullptr), 0);
  }
}

// Raw projections: the kernel itself makes queries, key and value of the newest token, and appends
// the last two.
void expect_fused_decode(const RopeCase& c, const std::vector<int>& lengths, int splits) {
  const AttentionShape& shape = c.shape;
  const int rows = static_cast<int>(lengths.size());
  PagedCache cache(shape, lengths);
  cache.fill();
  const std::vector<Bf16> nothing(shape.width, cache.not_a_number());
  auto poisoned_keys = cache.keys;
  auto poisoned_values = cache.values;
  const RopeInputs in(c);
  const auto qkv = random_bf16(std::size_t(rows) * in.heads * shape.width);
  std::vector<double> expected;
  std::vector<std::int32_t> positions;
  for (int r = 0; r < rows; ++r) {
    const int position = lengths[r] - 1;
    positions.push_back(position);
    const auto head = [&](int h) {
      return to_bf16(expected_head(
          c, in, qkv.data() + (std::size_t(r) * in.heads + h) * shape.width, h, position));
    };
    for (int k = 0; k < shape.kv_heads; ++k) {
      const std::size_t at = cache.at(r, position, k);
      std::copy(nothing.begin(), nothing.end(), poisoned_keys.begin() + long(at));
      std::copy(nothing.begin(), nothing.end(), poisoned_values.begin() + long(at));
      const auto key = head(shape.q_heads + k);
      const auto value = head(shape.q_heads + shape.kv_heads + k);
      std::copy(key.begin(), key.end(), cache.keys.begin() + long(at));
      std::copy(value.begin(), value.end(), cache.values.begin() + long(at));
    }
    for (int h = 0; h < shape.q_heads; ++h) {
      const auto out = cache.attend(head(h).data(), r, h, lengths[r]);
      expected.insert(expected.end(), out.begin(), out.end());
    }
  }
  DeviceArray<Bf16> d_qkv(qkv), d_keys(poisoned_keys), d_values(poisoned_values),
      d_out(expected.size());
  DeviceArray<Bf16> d_bias(in.bias), d_q_norm(in.q_norm), d_k_norm(in.k_norm);
  DeviceArray<float> d_angles(in.angles);
  DeviceArray<std::int32_t> d_table(cache.table), d_positions(positions);
  DecodeAttention args = decode_args(shape, cache.page_stride, rows, splits);
  args.out = d_out.get();
  args.q = d_qkv.get();
  args.q_stride = in.heads * shape.width;
  args.keys = d_keys.get();
  args.values = d_values.get();
  args.page_table = d_table.get();
  args.positions = d_positions.get();
  args.cos_sin = d_angles.get();
  args.bias = c.bias ? d_bias.get() : nullptr;
  args.q_norm = c.norm ? d_q_norm.get() : nullptr;
  args.k_norm = c.norm ? d_k_norm.get() : nullptr;
  ASSERT_EQ(spillway_decode_attention(&args, nullptr), 0);
  EXPECT_LT(worst_row_error(d_out.download(), expected, shape.width), 2 * kTolerance)
      << "splits " << splits;
  const auto keys = d_keys.download();
  const auto values = d_values.download();
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < shape.kv_heads; ++k) {
      const std::size_t at = cache.at(r, lengths[r] - 1, k);
      EXPECT_LT(row_distance(keys, cache.keys, at, shape.width), kTolerance);
      EXPECT_LT(row_distance(values, cache.values, at, shape.width), kTolerance);
    }
  }
}

TEST(DecodeAttention, MakesAndAppendsTheNewestTokenItself) {
  for (const AttentionShape& shape : kShapes) {
    for (const bool bias : {false, true}) {
      for (const bool norm : {false, true}) {
        for (const int splits : {1, 4, 16}) {
          const RopeCase c = {shape, shape.width, false, bias, norm};
          expect_fused_decode(c, {random_int(1, 350), 1, 16, 17, random_int(1, 60)}, splits);
        }
      }
    }
  }
}

struct Chunk {
  int prefix;
  int rows;
};

void expect_prefill(const AttentionShape& shape, const std::vector<Chunk>& chunks, bool reorder) {
  const int count = static_cast<int>(chunks.size());
  std::vector<std::int32_t> sequence(count), row_start = {0}, first_position(count);
  std::vector<int> lengths(count);
  int rows_max = 0;
  for (int c = 0; c < count; ++c) {
    sequence[c] = reorder ? count - 1 - c : c;
    lengths[sequence[c]] = chunks[c].prefix + chunks[c].rows;
    first_position[c] = chunks[c].prefix;
    row_start.push_back(row_start.back() + chunks[c].rows);
    rows_max = std::max(rows_max, chunks[c].rows);
  }
  PagedCache cache(shape, lengths);
  cache.fill();
  const Queries queries(shape, row_start.back());
  std::vector<double> expected;
  for (int c = 0; c < count; ++c) {
    for (int j = 0; j < chunks[c].rows; ++j) {
      for (int head = 0; head < shape.q_heads; ++head) {
        const Bf16* q = queries.at(row_start[c] + j, head, shape.width);
        const auto out = cache.attend(q, sequence[c], head, chunks[c].prefix + j + 1);
        expected.insert(expected.end(), out.begin(), out.end());
      }
    }
  }
  DeviceArray<Bf16> d_q(queries.values), d_keys(cache.keys), d_values(cache.values),
      d_out(expected.size());
  DeviceArray<std::int32_t> d_table(cache.table), d_sequence(sequence), d_start(row_start),
      d_first(first_position);
  const PrefillAttention args = {d_out.get(),
                                 d_q.get(),
                                 queries.stride,
                                 d_keys.get(),
                                 d_values.get(),
                                 d_table.get(),
                                 reorder ? d_sequence.get() : nullptr,
                                 d_start.get(),
                                 d_first.get(),
                                 cache.page_stride,
                                 count,
                                 rows_max,
                                 shape.q_heads,
                                 shape.kv_heads,
                                 shape.width,
                                 float(shape.scale()),
                                 nullptr,
                                 nullptr,
                                 shape.window,
                                 float(shape.score_cap)};
  ASSERT_EQ(spillway_prefill_attention(&args, nullptr), 0);
  EXPECT_LT(worst_row_error(d_out.download(), expected, shape.width), kTolerance)
      << shape.q_heads << "/" << shape.kv_heads << " × " << shape.width;
}

TEST(PrefillAttention, WholePromptsOfAllShapes) {
  for (const AttentionShape& shape : kShapes) {
    expect_prefill(shape, {{0, random_int(1, 200)}, {0, 1}, {0, random_int(60, 130)}}, false);
  }
}

TEST(PrefillAttention, WindowsAndCaps) {
  for (const AttentionShape& shape : kNarrowed) {
    expect_prefill(shape, {{random_int(1, 300), random_int(1, 150)}, {64, 64}, {0, 90}, {131, 1}},
                   true);
  }
}

TEST(PrefillAttention, ChunksBehindAPrefix) {
  for (const AttentionShape& shape : kShapes) {
    expect_prefill(shape, {{random_int(1, 300), random_int(1, 100)}, {64, 64}, {0, 17}, {130, 1}},
                   true);
  }
}

}  // namespace
}  // namespace spillway::gpu_test
