// Shares of a decoder, multiplied by each rank for itself and put together again, are the whole:
// in double precision, so that a row in a wrong place cannot hide behind rounding.
#include "backends/local/cuda/decoder_division.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace spillway::local::cuda {
namespace {

using testing::HasSubstr;

using Values = std::vector<double>;
using Rooms = std::map<std::string, Values>;

DecoderShape shape_with(int query_heads, int kv_heads, int feed_forward_width, int vocabulary) {
  DecoderShape shape;
  shape.layers = 1;
  shape.width = 96;
  shape.feed_forward_width = feed_forward_width;
  shape.query_heads = query_heads;
  shape.kv_heads = kv_heads;
  shape.head_width = 64;
  shape.vocabulary = vocabulary;
  shape.qkv_bias = true;
  shape.head_norms = true;
  return shape;
}

Rooms random_rooms(const DecoderShape& shape) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  Rooms rooms;
  for (const RoomShape& room : rooms_of(shape)) {
    Values& values = rooms[room.name];
    for (std::int64_t i = 0; i < room.rows * room.columns; ++i) values.push_back(normal(random));
  }
  return rooms;
}

// As a loader puts it: every cut in its place.
Rooms share_of(const DecoderShape& whole, const Rooms& rooms, Share share) {
  Rooms own;
  for (const RoomShape& room : rooms_of(shape_of(whole, share))) {
    own[room.name].assign(static_cast<std::size_t>(room.rows * room.columns), std::nan(""));
  }
  for (const RoomShape& room : rooms_of(whole)) {
    Values& to = own.at(room.name);
    const Values& from = rooms.at(room.name);
    for (const Cut& cut : cuts_of(whole, room, share)) {
      for (std::int64_t i = 0; i < cut.rows * cut.columns; ++i) {
        const std::int64_t row = cut.first_row + i / cut.columns;
        const std::int64_t at = row * room.columns + cut.first_column + i % cut.columns;
        double& place = to.at(static_cast<std::size_t>(cut.to_row * cut.columns + i));
        EXPECT_TRUE(std::isnan(place)) << room.name;
        place = from.at(static_cast<std::size_t>(at));
      }
    }
  }
  return own;
}

Values product(const Values& matrix, const Values& x) {
  Values out(matrix.size() / x.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto row = matrix.begin() + static_cast<std::ptrdiff_t>(i * x.size());
    out[i] = std::inner_product(x.begin(), x.end(), row, 0.0);
  }
  return out;
}

// A stand-in for attention that, like it, needs a query head, its key head and nothing else: the
// query, weighed by its product with the key, plus the value.
Values mixed(const DecoderShape& shape, Values qkv, const Values& bias) {
  for (std::size_t i = 0; i < qkv.size(); ++i) qkv[i] += bias[i];
  const int ratio = shape.query_heads / shape.kv_heads;
  const auto head = [&](int index) { return qkv.begin() + index * shape.head_width; };
  Values out;
  for (int q = 0; q < shape.query_heads; ++q) {
    const int k = shape.query_heads + q / ratio;
    const double weight =
        std::inner_product(head(q), head(q) + shape.head_width, head(k), 0.0) / shape.head_width;
    for (int i = 0; i < shape.head_width; ++i) {
      out.push_back(weight * head(q)[i] + head(k + shape.kv_heads)[i]);
    }
  }
  return out;
}

Values gated(Values gate_up) {
  const std::size_t width = gate_up.size() / 2;
  for (std::size_t i = 0; i < width; ++i) {
    gate_up[i] = gate_up[i] / (1 + std::exp(-gate_up[i])) * gate_up[width + i];
  }
  gate_up.resize(width);
  return gate_up;
}

struct Results {
  Values attention, feed_forward, logits;
};

// What a rank adds to the residual stream, and its part of the logits.
Results results_of(const DecoderShape& shape, const Rooms& rooms, const Values& x) {
  const std::string layer = "layers.0.";
  const Values heads =
      mixed(shape, product(rooms.at(layer + "qkv"), x), rooms.at(layer + "qkv_bias"));
  return {product(rooms.at(layer + "attention_out"), heads),
          product(rooms.at(layer + "down"), gated(product(rooms.at(layer + "gate_up"), x))),
          product(rooms.at("head"), x)};
}

void expect_near(const Values& got, const Values& expected, const char* what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 1e-9 * (1 + std::abs(expected[i]))) << what << " " << i;
  }
}

class Division : public testing::TestWithParam<int> {};

TEST_P(Division, SharesAddUpToTheWhole) {
  const int ranks = GetParam();
  const DecoderShape whole = shape_with(4 * ranks, ranks, 64 * ranks + 96, 64 * ranks + 80);
  ASSERT_TRUE(check_division(whole, ranks));
  const Rooms rooms = random_rooms(whole);
  Values x(static_cast<std::size_t>(whole.width));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(1.0 + static_cast<double>(i));
  const Results expected = results_of(whole, rooms, x);
  Results sum = {Values(x.size()), Values(x.size()), {}};
  for (int rank = 0; rank < ranks; ++rank) {
    const Share share{rank, ranks};
    const Results own = results_of(shape_of(whole, share), share_of(whole, rooms, share), x);
    for (std::size_t i = 0; i < x.size(); ++i) sum.attention[i] += own.attention[i];
    for (std::size_t i = 0; i < x.size(); ++i) sum.feed_forward[i] += own.feed_forward[i];
    sum.logits.insert(sum.logits.end(), own.logits.begin(), own.logits.end());
  }
  expect_near(sum.attention, expected.attention, "attention");
  expect_near(sum.feed_forward, expected.feed_forward, "feed forward");
  expect_near(sum.logits, expected.logits, "logits");
}

INSTANTIATE_TEST_SUITE_P(Ranks, Division, testing::Values(1, 2, 3, 4, 7, 8));

TEST(DivisionCheck, NamesTheNumbersThatFit) {
  const DecoderShape shape = shape_with(28, 4, 18'944, 152'064);
  for (const int ranks : {1, 2, 4}) EXPECT_TRUE(check_division(shape, ranks)) << ranks;
  for (const int ranks : {3, 5, 7, 8, 28}) {
    const auto checked = check_division(shape, ranks);
    ASSERT_FALSE(checked) << ranks;
    EXPECT_EQ(checked.error().code, Errc::invalid_request);
    EXPECT_THAT(checked.error().message, HasSubstr("28 query heads, 4 key heads"));
    EXPECT_THAT(checked.error().message, HasSubstr("this model takes 1, 2, 4"));
  }
}

// Every rank needs a piece of everything.
TEST(DivisionCheck, FeedForwardAndVocabularyMustReach) {
  EXPECT_TRUE(check_division(shape_with(8, 8, 256, 512), 4));
  EXPECT_FALSE(check_division(shape_with(8, 8, 255, 512), 4));
  EXPECT_FALSE(check_division(shape_with(8, 8, 256, 240), 4));
}

TEST(DivisionCheck, MoreThanEightGpusAreRefused) {
  EXPECT_TRUE(check_division(shape_with(16, 16, 2048, 2048), 8));
  EXPECT_FALSE(check_division(shape_with(16, 16, 2048, 2048), 16));
}

// The head that is the embedding table is a part of it, which every rank has whole.
TEST(Division, EmbeddingStaysWhole) {
  DecoderShape whole = shape_with(4, 4, 256, 512);
  whole.head_is_embedding = true;
  const Share share{1, 4};
  EXPECT_EQ(rooms_of(shape_of(whole, share)).front().rows, 512);
  EXPECT_EQ(shape_of(whole, share).head_rows().first, 128);
  EXPECT_EQ(shape_of(whole, share).head_rows().count, 128);
}

}  // namespace
}  // namespace spillway::local::cuda
