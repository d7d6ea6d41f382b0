// Attention over KV pages of E4M3, and heads on their way to them, against double precision; unused
// KV slots hold NaN in their scales.
#include "tests/gpu/e4m3_host.h"
#include "tests/gpu/rope_reference.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

// Values of a line differ by orders of magnitude, and cancel.
constexpr double kTolerance = 1e-2;

const AttentionShape kShapes[] = {{7, 1, 128}, {16, 8, 128}, {9, 3, 64}, {12, 1, 64}};

// Keys or values.
struct PackedLines {
  PackedLines(std::size_t elements, int width)
      : width(width), bytes(elements, 0xff), scales(elements / width, std::nanf("")) {}

  double operator()(std::size_t i) const { return from_e4m3(bytes[i]) * scales[i / width]; }

  void fill(std::size_t from) {
    const auto line = random_e4m3(width);
    std::copy(line.begin(), line.end(), bytes.begin() + long(from));
    scales[from / width] = random_scales(1, 1.0f / 150)[0];
  }

  int width;
  std::vector<std::uint8_t> bytes;
  std::vector<float> scales;
};

struct PackedCache {
  PackedCache(const AttentionShape& shape, const std::vector<int>& lengths)
      : places(shape, lengths),
        keys(places.keys.size(), shape.width),
        values(places.values.size(), shape.width) {
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      for (int key = 0; key < lengths[s]; ++key) {
        for (int head = 0; head < shape.kv_heads; ++head) {
          keys.fill(places.at(int(s), key, head));
          values.fill(places.at(int(s), key, head));
        }
      }
    }
  }

  std::vector<double> attend(const Bf16* q, int sequence, int head, int count) const {
    return places.attend(q, sequence, head, count, keys, values);
  }

  PagedCache places;
  PackedLines keys;
  PackedLines values;
};

struct DevicePages {
  explicit DevicePages(const PackedCache& cache)
      : keys(cache.keys.bytes),
        values(cache.values.bytes),
        key_scales(cache.keys.scales),
        value_scales(cache.values.scales),
        table(cache.places.table) {}

  // Of any of the kernels' arguments.
  template <class Args>
  void put_into(Args& args) {
    args.keys = keys.get();
    args.values = values.get();
    args.key_scales = key_scales.get();
    args.value_scales = value_scales.get();
    args.page_table = table.get();
  }

  // What the kernels made of the pages.
  void read(PackedCache& cache) const {
    cache.keys.bytes = keys.download();
    cache.values.bytes = values.download();
    cache.keys.scales = key_scales.download();
    cache.values.scales = value_scales.download();
  }

  DeviceArray<std::uint8_t> keys, values;
  DeviceArray<float> key_scales, value_scales;
  DeviceArray<std::int32_t> table;
};

void expect_decode(const AttentionShape& shape, const std::vector<int>& lengths, int splits) {
  const int rows = static_cast<int>(lengths.size());
  const PackedCache cache(shape, lengths);
  const auto queries = random_bf16(std::size_t(rows) * shape.q_heads * shape.width, 1.5f);
  std::vector<std::int32_t> positions;
  std::vector<double> expected;
  for (int r = 0; r < rows; ++r) {
    positions.push_back(lengths[r] - 1);
    for (int head = 0; head < shape.q_heads; ++head) {
      const Bf16* q = queries.data() + (std::size_t(r) * shape.q_heads + head) * shape.width;
      const auto out = lengths[r] == 0 ? std::vector<double>(shape.width, 0.0)
                                       : cache.attend(q, r, head, lengths[r]);
      expected.insert(expected.end(), out.begin(), out.end());
    }
  }
  DevicePages pages(cache);
  DeviceArray<Bf16> d_q(queries), d_out(expected.size());
  DeviceArray<std::int32_t> d_positions(positions);
  DecodeAttention args = decode_args(shape, cache.places.page_stride, rows, splits);
  pages.put_into(args);
  args.out = d_out.get();
  args.q = d_q.get();
  args.q_stride = shape.q_heads * shape.width;
  args.positions = d_positions.get();
  ASSERT_EQ(spillway_decode_attention(&args, nullptr), 0);
  EXPECT_LT(worst_row_error(d_out.download(), expected, shape.width), kTolerance)
      << shape.q_heads << "/" << shape.kv_heads << " × " << shape.width << ", splits " << splits;
}

TEST(KvE4m3, DecodesOfAllShapesAndSplits) {
  for (const AttentionShape& shape : kShapes) {
    for (const int splits : {1, 4, 16}) {
      expect_decode(shape, {random_int(1, 700), random_int(1, 700), 1, 0, 16, 17}, splits);
    }
  }
}

TEST(KvE4m3, DecodesAtEdgesOfPages) {
  for (const int splits : {1, 2}) {
    expect_decode(kShapes[0], {1, 15, 16, 17, 63, 64, 65, 128}, splits);
  }
}

// A head in its line: what three bits of mantissa keep of it, and the largest as the scale says.
void expect_line(const PackedLines& lines, std::size_t from, const std::vector<double>& expected) {
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  const double scale = lines.scales[from / lines.width];
  ASSERT_NEAR(scale * 448.0, largest, largest / 100);
  for (int i = 0; i < lines.width; ++i) {
    const double step = std::max(std::abs(expected[i]) / 15.9, scale / 1023.0);
    ASSERT_NEAR(lines(from + i), expected[i], step + std::abs(expected[i]) / 60 + largest / 200);
  }
}

struct Projection {
  Projection(const RopeCase& c, int rows)
      : c(c), in(c), qkv(random_bf16(std::size_t(rows) * in.heads * c.shape.width)) {}

  std::vector<double> head(int row, int head, int position) const {
    const Bf16* from = qkv.data() + (std::size_t(row) * in.heads + head) * c.shape.width;
    return expected_head(c, in, from, head, position);
  }

  RopeCase c;
  RopeInputs in;
  std::vector<Bf16> qkv;
};

// The lines of a row's key and value, for every kv head.
void expect_appended(const PackedCache& cache, const Projection& projection, int row, int sequence,
                     int position) {
  const AttentionShape& shape = projection.c.shape;
  for (int k = 0; k < shape.kv_heads; ++k) {
    const std::size_t at = cache.places.at(sequence, position, k);
    expect_line(cache.keys, at, projection.head(row, shape.q_heads + k, position));
    expect_line(cache.values, at,
                projection.head(row, shape.q_heads + shape.kv_heads + k, position));
  }
}

// Raw projections: the kernel makes and appends the newest token, and attends to it.
void expect_fused_decode(const RopeCase& c, const std::vector<int>& lengths, int splits) {
  const AttentionShape& shape = c.shape;
  const int rows = static_cast<int>(lengths.size());
  PackedCache cache(shape, lengths);
  const Projection projection(c, rows);
  std::vector<std::int32_t> positions;
  for (const int length : lengths) positions.push_back(length - 1);
  DevicePages pages(cache);
  DeviceArray<Bf16> d_qkv(projection.qkv), d_bias(projection.in.bias), d_q(projection.in.q_norm),
      d_k(projection.in.k_norm), d_out(std::size_t(rows) * shape.q_heads * shape.width);
  DeviceArray<float> d_angles(projection.in.angles);
  DeviceArray<std::int32_t> d_positions(positions);
  DecodeAttention args = decode_args(shape, cache.places.page_stride, rows, splits);
  pages.put_into(args);
  args.out = d_out.get();
  args.q = d_qkv.get();
  args.q_stride = projection.in.heads * shape.width;
  args.positions = d_positions.get();
  args.cos_sin = d_angles.get();
  args.bias = c.bias ? d_bias.get() : nullptr;
  args.q_norm = c.norm ? d_q.get() : nullptr;
  args.k_norm = c.norm ? d_k.get() : nullptr;
  ASSERT_EQ(spillway_decode_attention(&args, nullptr), 0);
  const auto out = d_out.download();
  pages.read(cache);
  std::vector<double> expected;
  for (int r = 0; r < rows; ++r) {
    expect_appended(cache, projection, r, r, positions[r]);
    for (int h = 0; h < shape.q_heads; ++h) {
      std::vector<Bf16> q;
      for (const double value : projection.head(r, h, positions[r])) q.emplace_back(float(value));
      const auto row = cache.attend(q.data(), r, h, lengths[r]);
      expected.insert(expected.end(), row.begin(), row.end());
    }
  }
  EXPECT_LT(worst_row_error(out, expected, shape.width), 2 * kTolerance) << "splits " << splits;
}

TEST(KvE4m3, DecodesMakeAndAppendTheNewestTokenThemselves) {
  for (const AttentionShape& shape : kShapes) {
    for (const bool norm : {false, true}) {
      for (const int splits : {1, 4, 16}) {
        expect_fused_decode({shape, shape.width, false, !norm, norm},
                            {random_int(2, 350), 1, 16, 17, random_int(1, 60)}, splits);
      }
    }
  }
}

void expect_rope_append(const RopeCase& c) {
  const std::vector<int> lengths = {random_int(1, kPositions), random_int(1, kPositions)};
  PackedCache cache(c.shape, lengths);
  std::vector<std::int32_t> positions, sequences;
  for (int s = 0; s < 2; ++s) {
    for (int back = 0; back < std::min(3, lengths[s]); ++back) {
      positions.push_back(lengths[s] - 1 - back);
      sequences.push_back(s);
    }
  }
  const int rows = static_cast<int>(positions.size());
  const Projection projection(c, rows);
  DevicePages pages(cache);
  DeviceArray<Bf16> d_qkv(projection.qkv), d_bias(projection.in.bias), d_q(projection.in.q_norm),
      d_k(projection.in.k_norm);
  DeviceArray<float> d_angles(projection.in.angles);
  DeviceArray<std::int32_t> d_positions(positions), d_sequences(sequences);
  RopeAppend args = {};
  pages.put_into(args);
  args.qkv = d_qkv.get();
  args.bias = c.bias ? d_bias.get() : nullptr;
  args.q_norm = c.norm ? d_q.get() : nullptr;
  args.k_norm = c.norm ? d_k.get() : nullptr;
  args.cos_sin = d_angles.get();
  args.positions = d_positions.get();
  args.row_sequence = d_sequences.get();
  args.rows = rows;
  args.page_stride = cache.places.page_stride;
  args.q_heads = c.shape.q_heads;
  args.kv_heads = c.shape.kv_heads;
  args.head_width = c.shape.width;
  args.rotary_width = c.rotary;
  args.norm_epsilon = 1e-6f;
  ASSERT_EQ(spillway_rope_append(&args, nullptr), 0);
  const PackedCache before = cache;
  pages.read(cache);
  for (int r = 0; r < rows; ++r) {
    expect_appended(cache, projection, r, sequences[r], positions[r]);
  }
  std::size_t changed = 0;
  for (std::size_t i = 0; i < cache.keys.scales.size(); ++i) {
    if (std::isnan(before.keys.scales[i])) {
      EXPECT_TRUE(std::isnan(cache.keys.scales[i]));  // Belongs to nobody.
    } else {
      changed += before.keys.scales[i] != cache.keys.scales[i];
    }
  }
  EXPECT_LE(changed, std::size_t(rows) * c.shape.kv_heads);
  args.interleaved = 1;
  EXPECT_NE(spillway_rope_append(&args, nullptr), 0);
}

TEST(KvE4m3, RopeAppendsLinesWithTheirScales) {
  for (const AttentionShape& shape : kShapes) {
    for (const bool norm : {false, true}) {
      expect_rope_append({shape, shape.width, false, !norm, norm});
    }
  }
}

struct Chunk {
  int prefix;
  int rows;
};

void expect_prefill(const AttentionShape& shape, const std::vector<Chunk>& chunks) {
  const int count = static_cast<int>(chunks.size());
  std::vector<std::int32_t> row_start = {0}, first_position;
  std::vector<int> lengths;
  int rows_max = 0;
  for (const Chunk& chunk : chunks) {
    lengths.push_back(chunk.prefix + chunk.rows);
    first_position.push_back(chunk.prefix);
    row_start.push_back(row_start.back() + chunk.rows);
    rows_max = std::max(rows_max, chunk.rows);
  }
  const PackedCache cache(shape, lengths);
  const auto queries =
      random_bf16(std::size_t(row_start.back()) * shape.q_heads * shape.width, 1.5f);
  std::vector<double> expected;
  for (int c = 0; c < count; ++c) {
    for (int j = 0; j < chunks[c].rows; ++j) {
      for (int head = 0; head < shape.q_heads; ++head) {
        const std::size_t row = std::size_t(row_start[c]) + j;
        const Bf16* q = queries.data() + (row * shape.q_heads + head) * shape.width;
        const auto out = cache.attend(q, c, head, chunks[c].prefix + j + 1);
        expected.insert(expected.end(), out.begin(), out.end());
      }
    }
  }
  DevicePages pages(cache);
  DeviceArray<Bf16> d_q(queries), d_out(expected.size());
  DeviceArray<std::int32_t> d_start(row_start), d_first(first_position);
  PrefillAttention args = {};
  pages.put_into(args);
  args.out = d_out.get();
  args.q = d_q.get();
  args.q_stride = shape.q_heads * shape.width;
  args.row_start = d_start.get();
  args.first_position = d_first.get();
  args.page_stride = cache.places.page_stride;
  args.chunks = count;
  args.rows_max = rows_max;
  args.q_heads = shape.q_heads;
  args.kv_heads = shape.kv_heads;
  args.head_width = shape.width;
  args.scale = float(shape.scale());
  ASSERT_EQ(spillway_prefill_attention(&args, nullptr), 0);
  EXPECT_LT(worst_row_error(d_out.download(), expected, shape.width), kTolerance)
      << shape.q_heads << "/" << shape.kv_heads << " × " << shape.width;
}

TEST(KvE4m3, WholePromptsAndChunksBehindAPrefix) {
  for (const AttentionShape& shape : kShapes) {
    expect_prefill(shape, {{0, random_int(1, 200)}, {0, 1}, {random_int(1, 300), 70}, {64, 64}});
  }
}

}  // namespace
}  // namespace spillway::gpu_test
