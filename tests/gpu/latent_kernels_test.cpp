// Latent rows on their way to the cache, and attention over them, against double precision.
#include "backends/local/kernels/latent_kernels.h"

#include "tests/gpu/paged_cache.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

constexpr double kTolerance = 8e-3;

// One "head" of lines; its values are their first columns.
AttentionShape lines_shape() { return {1, 1, kLatentLine}; }

std::vector<double> attend(const PagedCache& cache, const Bf16* query, int sequence, int lines,
                           double scale) {
  std::vector<double> scores;
  for (int line = 0; line < lines; ++line) {
    double dot = 0.0;
    const std::size_t from = cache.at(sequence, line, 0);
    for (int i = 0; i < kLatentLine; ++i) dot += double(query[i]) * double(cache.keys[from + i]);
    scores.push_back(dot * scale);
  }
  const double top = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  std::vector<double> out(kLatentWidth, 0.0);
  for (int line = 0; line < lines; ++line) {
    const double weight = std::exp(scores[line] - top);
    sum += weight;
    const std::size_t from = cache.at(sequence, line, 0);
    for (int i = 0; i < kLatentWidth; ++i) out[i] += weight * double(cache.keys[from + i]);
  }
  for (double& v : out) v /= sum;
  return out;
}

struct Case {
  Case(std::vector<int> lengths, int query_rows, int heads)
      : cache(lines_shape(), lengths), heads(heads) {
    cache.fill();
    queries = random_bf16(std::size_t(query_rows) * heads * kLatentLine, 0.2f);
  }

  // Rows of [heads, kLatentWidth].
  std::vector<Bf16> run(LatentAttention args, const std::vector<std::int32_t>& positions,
                        const std::vector<std::int32_t>& starts,
                        const std::vector<std::int32_t>& sequences) {
    DeviceArray<Bf16> q(queries), pages(cache.keys);
    DeviceArray<std::int32_t> table(cache.table), at(positions), start(starts), of(sequences);
    DeviceArray<Bf16> out(queries.size() / kLatentLine * kLatentWidth);
    args.out = out.get();
    args.queries = q.get();
    args.pages = pages.get();
    args.page_table = table.get();
    args.page_stride = cache.page_stride;
    args.first_position = at.get();
    args.row_start = starts.empty() ? nullptr : start.get();
    args.chunk_sequence = sequences.empty() ? nullptr : of.get();
    args.heads = heads;
    check(spillway_latent_attention(&args, nullptr), "latent attention");
    return out.download();
  }

  void expect_row(const std::vector<Bf16>& out, int row, int sequence, int lines, double scale) {
    for (int head = 0; head < heads; ++head) {
      const std::size_t at = std::size_t(row) * heads + head;
      const auto wanted = attend(cache, queries.data() + at * kLatentLine, sequence, lines, scale);
      const std::span<const Bf16> got(out.data() + at * kLatentWidth, std::size_t(kLatentWidth));
      EXPECT_LT(relative_error<Bf16>(got, wanted), kTolerance)
          << "row " << row << " head " << head << " of " << lines << " lines";
    }
  }

  PagedCache cache;
  int heads;
  std::vector<Bf16> queries;
};

TEST(LatentAttention, DecodesMatchAtTheEdgesOfPagesAndTiles) {
  const std::vector<int> lengths = {1, 15, 16, 17, 31, 32, 33, 64, 65, 128, 129, 257, 700};
  for (const int heads : {16, 20, 3}) {
    for (const int splits : {1, 2, 8, 16}) {
      Case test(lengths, int(lengths.size()) + 1, heads);
      std::vector<std::int32_t> positions;
      for (const int length : lengths) positions.push_back(length - 1);
      test.cache.table.resize(test.cache.table.size() + test.cache.page_stride, 0);
      positions.push_back(-1);
      LatentAttention args = {};
      args.chunks = int(positions.size());
      args.splits = splits;
      args.scale = 0.09f;
      const auto out = test.run(args, positions, {}, {});
      for (std::size_t s = 0; s < lengths.size(); ++s) {
        test.expect_row(out, int(s), int(s), lengths[s], args.scale);
      }
      const std::size_t padding = lengths.size() * heads * kLatentWidth;
      for (std::size_t i = padding; i < out.size(); ++i) EXPECT_EQ(float(out[i]), 0.0f);
    }
  }
}

TEST(LatentAttention, ChunksSeeWhatCameBeforeThem) {
  const std::vector<int> lengths = {130, 70, 5, 64};
  const std::vector<int> chunks = {40, 70, 1, 3};  // The last rows of each sequence.
  const std::vector<std::int32_t> sequences = {2, 0, 3, 1};
  for (const int heads : {16, 20, 3}) {
    std::vector<std::int32_t> starts = {0}, positions;
    for (const int s : sequences) {
      starts.push_back(starts.back() + chunks[s]);
      positions.push_back(lengths[s] - chunks[s]);
    }
    Case test(lengths, starts.back(), heads);
    LatentAttention args = {};
    args.chunks = int(sequences.size());
    args.rows_max = 70;
    args.splits = 1;
    args.scale = 0.07f;
    const auto out = test.run(args, positions, starts, sequences);
    for (std::size_t c = 0; c < sequences.size(); ++c) {
      for (int row = starts[c]; row < starts[c + 1]; ++row) {
        test.expect_row(out, row, sequences[c], positions[c] + row - starts[c] + 1, args.scale);
      }
    }
  }
}

TEST(LatentAttention, DecodesMayRunBesideChunks) {
  const std::vector<int> lengths = {200, 33, 90, 17};
  Case test(lengths, 202, 16);  // A chunk of 200 rows, then decodes of the last two sequences.
  DeviceArray<Bf16> q(test.queries), pages(test.cache.keys);
  DeviceArray<Bf16> out(test.queries.size() / kLatentLine * kLatentWidth);
  DeviceArray<std::int32_t> table(test.cache.table), start(std::vector<std::int32_t>{0, 200});
  DeviceArray<std::int32_t> first(std::vector<std::int32_t>{0});
  DeviceArray<std::int32_t> positions(std::vector<std::int32_t>{89, 16});
  LatentAttention chunk = {};
  chunk.out = out.get();
  chunk.queries = q.get();
  chunk.pages = pages.get();
  chunk.page_table = table.get();
  chunk.page_stride = test.cache.page_stride;
  chunk.row_start = start.get();
  chunk.first_position = first.get();
  chunk.chunks = 1;
  chunk.rows_max = 200;
  chunk.heads = 16;
  chunk.splits = 1;
  chunk.scale = 0.08f;
  LatentAttention decodes = chunk;
  decodes.out = out.get() + std::size_t(200) * 16 * kLatentWidth;
  decodes.queries = q.get() + std::size_t(200) * 16 * kLatentLine;
  decodes.page_table = table.get() + std::size_t(2) * test.cache.page_stride;
  decodes.row_start = nullptr;
  decodes.first_position = positions.get();
  decodes.chunks = 2;
  decodes.splits = 2;
  decodes.beside_earlier = 1;
  check(spillway_latent_attention(&chunk, nullptr), "chunk");
  check(spillway_latent_attention(&decodes, nullptr), "decodes");
  const auto got = out.download();
  for (const int row : {0, 1, 63, 64, 199}) test.expect_row(got, row, 0, row + 1, chunk.scale);
  test.expect_row(got, 200, 2, 90, chunk.scale);
  test.expect_row(got, 201, 3, 17, chunk.scale);
}

TEST(LatentAttention, ChunksRunAloneAndUndivided) {
  DeviceArray<std::int32_t> start(std::vector<std::int32_t>{0, 4});
  LatentAttention args = {};
  args.row_start = start.get();
  args.splits = 2;
  EXPECT_NE(spillway_latent_attention(&args, nullptr), 0);
  args.splits = args.beside_earlier = 1;
  EXPECT_NE(spillway_latent_attention(&args, nullptr), 0);
}

TEST(LatentAttention, OtherSplitsAreRefused) {
  LatentAttention args = {};
  for (const int splits : {0, 3, 32}) {
    args.splits = splits;
    EXPECT_NE(spillway_latent_attention(&args, nullptr), 0);
  }
}

TEST(LatentAppend, RowsAreNormedRotatedAndKept) {
  constexpr int kRows = 6, kHeads = 5, kKey = 128, kHead = kKey + kLatentRope;
  constexpr int kRow = kHeads * kHead + kLatentLine;
  const std::vector<int> lengths = {40, 3, 17};
  PagedCache cache(lines_shape(), lengths);
  const std::vector<std::int32_t> positions = {39, 16, -1, 0, 2, 15},
                                  sequences = {0, 2, 0, 1, 1, 0};
  const auto projection = random_bf16(std::size_t(kRows) * kRow);
  const auto norm = random_bf16(kLatentWidth, 0.2f, 1.0f);
  std::vector<float> angles;
  for (int i = 0; i < 40 * kLatentRope / 2; ++i) {
    const double angle = 0.01 * random_int(-300, 300);
    angles.push_back(float(std::cos(angle)));
    angles.push_back(float(std::sin(angle)));
  }
  DeviceArray<Bf16> queries(std::size_t(kRows) * kHeads * kLatentLine), pages(cache.keys);
  DeviceArray<Bf16> in(projection), weight(norm);
  DeviceArray<float> turns(angles);
  DeviceArray<std::int32_t> at(positions), of(sequences), table(cache.table);
  const LatentAppend args = {
      queries.get(), pages.get(), in.get(),          weight.get(), turns.get(), at.get(), of.get(),
      table.get(),   kRows,       cache.page_stride, kHeads,       kKey,        1e-6f};
  check(spillway_latent_append(&args, nullptr), "latent append");
  const auto got_queries = queries.download();
  const auto got_pages = pages.download();
  const auto rotated = [&](std::size_t from, int position) {
    std::vector<double> out;
    for (int i = 0; i < kLatentRope / 2; ++i) {
      const double a = projection[from + 2 * i], b = projection[from + 2 * i + 1];
      const double c = angles[(position * kLatentRope / 2 + i) * 2];
      const double s = angles[(position * kLatentRope / 2 + i) * 2 + 1];
      out.insert(out.end(), {a * c - b * s, b * c + a * s});
    }
    return out;
  };
  for (int row = 0; row < kRows; ++row) {
    if (positions[row] < 0) continue;
    const std::size_t begin = std::size_t(row) * kRow;
    for (int head = 0; head < kHeads; ++head) {
      const std::size_t to = (std::size_t(row) * kHeads + head) * kLatentLine;
      const std::span<const Bf16> got(got_queries.data() + to + kLatentWidth, kLatentRope);
      EXPECT_LT(relative_error<Bf16>(got, rotated(begin + head * kHead + kKey, positions[row])),
                kTolerance);
      EXPECT_EQ(got_queries[to].bits, 0xffff);
    }
    std::vector<double> line;
    double squares = 0.0;
    const std::size_t latent = begin + kHeads * kHead;
    for (int i = 0; i < kLatentWidth; ++i)
      squares += double(projection[latent + i]) * projection[latent + i];
    for (int i = 0; i < kLatentWidth; ++i) {
      line.push_back(projection[latent + i] * double(norm[i]) /
                     std::sqrt(squares / kLatentWidth + 1e-6));
    }
    const auto key = rotated(latent + kLatentWidth, positions[row]);
    line.insert(line.end(), key.begin(), key.end());
    const std::span<const Bf16> got(got_pages.data() + cache.at(sequences[row], positions[row], 0),
                                    std::size_t(kLatentLine));
    EXPECT_LT(relative_error<Bf16>(got, line), kTolerance) << row;
  }
}

}  // namespace
}  // namespace spillway::gpu_test
