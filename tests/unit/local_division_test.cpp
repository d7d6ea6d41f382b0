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

// Of the kind of DeepSeek-V2: latent rows, and experts of which some are shared.
DecoderShape mixture_with(int query_heads, int expert_width) {
  DecoderShape shape = shape_with(query_heads, 1, 640, 640);
  shape.qkv_bias = shape.head_norms = false;
  shape.latent.width = 24;
  shape.latent.rope_width = 8;
  shape.latent.key_width = 16;
  shape.latent.value_width = shape.head_width;
  shape.experts.count = 3;
  shape.experts.shared = 2;
  shape.experts.width = expert_width;
  shape.experts.biased = true;
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

// As above: each head weighs its value of the latent row by its query's product with it.
Values latent_mixed(const DecoderShape& shape, const Rooms& rooms, const Values& qkv) {
  const LatentAttention& latent = shape.latent;
  const std::ptrdiff_t query_width = latent.key_width + latent.rope_width;
  const auto row = qkv.begin() + shape.query_heads * query_width;
  const Values line(row, row + latent.width);
  const Values values = product(rooms.at("layers.0.value_up"), line);
  const Values& key_up = rooms.at("layers.0.key_up");
  const std::ptrdiff_t up = std::ptrdiff_t{latent.width} * latent.key_width;
  Values out;
  for (int q = 0; q < shape.query_heads; ++q) {
    const auto query = qkv.begin() + q * query_width;
    const Values terms = product(Values(key_up.begin() + q * up, key_up.begin() + (q + 1) * up),
                                 Values(query, query + latent.key_width));
    double weight = std::inner_product(terms.begin(), terms.end(), line.begin(), 0.0);
    weight +=
        std::inner_product(query + latent.key_width, query + query_width, row + latent.width, 0.0);
    for (int i = 0; i < latent.value_width; ++i) {
      out.push_back(weight * values[static_cast<std::size_t>(q * latent.value_width + i)]);
    }
  }
  return out;
}

struct Results {
  Values attention, feed_forward, logits;
};

// Of an expert's part of a room.
Values part_of(const Values& room, int index, int of) {
  const auto size = static_cast<std::ptrdiff_t>(room.size()) / of;
  return Values(room.begin() + index * size, room.begin() + (index + 1) * size);
}

// All experts, each weighed by what the router says of it, shared ones by 1.
Values fed_forward(const DecoderShape& shape, const Rooms& rooms, const Values& x) {
  const std::string layer = "layers.0.";
  if (!shape.experts.used()) {
    return product(rooms.at(layer + "down"), gated(product(rooms.at(layer + "gate_up"), x)));
  }
  Values weights = product(rooms.at(layer + "router"), x);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] += rooms.at(layer + "router_bias")[i];
  const int all = shape.experts.count + shape.experts.shared;
  weights.resize(static_cast<std::size_t>(all), 1.0);
  Values sum(x.size());
  for (int expert = 0; expert < all; ++expert) {
    const Values inner =
        gated(product(part_of(rooms.at(layer + "expert_gate_up"), expert, all), x));
    const Values answer = product(part_of(rooms.at(layer + "expert_down"), expert, all), inner);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] += weights[static_cast<std::size_t>(expert)] * answer[i];
    }
  }
  return sum;
}

// What a rank adds to the residual stream, and its part of the logits.
Results results_of(const DecoderShape& shape, const Rooms& rooms, const Values& x) {
  const std::string layer = "layers.0.";
  const Values qkv = product(rooms.at(layer + "qkv"), x);
  const Values heads = shape.latent.used() ? latent_mixed(shape, rooms, qkv)
                                           : mixed(shape, qkv, rooms.at(layer + "qkv_bias"));
  return {product(rooms.at(layer + "attention_out"), heads), fed_forward(shape, rooms, x),
          product(rooms.at("head"), x)};
}

void expect_near(const Values& got, const Values& expected, const char* what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 1e-9 * (1 + std::abs(expected[i]))) << what << " " << i;
  }
}

void expect_sum_of_shares(const DecoderShape& whole, int ranks) {
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

class Division : public testing::TestWithParam<int> {};

TEST_P(Division, SharesAddUpToTheWhole) {
  const int ranks = GetParam();
  expect_sum_of_shares(shape_with(4 * ranks, ranks, 64 * ranks + 96, 64 * ranks + 80), ranks);
}

// A key head that several ranks have is mixed with the query heads of each.
TEST(Division, SharesOfFewKeyHeadsAddUpToTheWhole) {
  for (const auto& [kv_heads, ranks] : {std::pair(1, 2), {1, 7}, {2, 4}, {2, 8}, {4, 8}})
    expect_sum_of_shares(shape_with(2 * ranks, kv_heads, 64 * ranks, 64 * ranks), ranks);
}

// Experts and heads of latent rows, and experts beside heads with keys of their own.
TEST_P(Division, SharesOfMixturesAddUpToTheWhole) {
  const int ranks = GetParam();
  DecoderShape whole = mixture_with(3 * ranks, 64 * ranks + 64);
  expect_sum_of_shares(whole, ranks);
  whole.latent = {};
  whole.kv_heads = ranks;
  whole.qkv_bias = true;
  expect_sum_of_shares(whole, ranks);
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

// Embedding, norms, latent rows and router, but no head and no expert.
TEST(Division, WhatIsEveryonesIsCountedForEach) {
  DecoderShape shape = mixture_with(16, 1408);
  const std::int64_t norms = 3 * 96 + 24;
  const std::int64_t of_layer = 96 * (24 + 8) + 3 * 96 + 3;
  EXPECT_EQ(repeated_weights(shape, 1), 0);
  EXPECT_EQ(repeated_weights(shape, 4), 3 * (640 * 96 + norms + of_layer));
  shape.head_is_embedding = true;
  EXPECT_EQ(repeated_weights(shape, 4), 3 * (640 * 96 + norms + of_layer));
}

TEST(DivisionCheck, ExpertsMustReach) {
  DecoderShape qwen = shape_with(32, 4, 6144, 151'936);
  qwen.experts.count = 128;
  qwen.experts.width = 768;
  for (const int ranks : {1, 2, 4, 8}) EXPECT_TRUE(check_division(qwen, ranks)) << ranks;
  const auto six = check_division(qwen, 6);
  ASSERT_FALSE(six);
  EXPECT_THAT(
      six.error().message,
      HasSubstr("6 GPUs cannot share 32 query heads, 4 key heads, experts of a width of 768 "
                "and a feed forward width of 6144 evenly: this model takes 1, 2, 4, 8"));
  qwen.experts.width = 64;
  EXPECT_FALSE(check_division(qwen, 2));
}

// The one key head that latent rows are is every rank's.
TEST(DivisionCheck, LatentRowsAreNotShared) {
  const DecoderShape shape = mixture_with(16, 1408);
  for (const int ranks : {2, 4, 8}) EXPECT_TRUE(check_division(shape, ranks)) << ranks;
  EXPECT_EQ(shape_of(shape, {1, 8}).kv_heads, 1);
  EXPECT_EQ(shape_of(shape, {1, 8}).kv_token_width(), shape.kv_token_width());
  const auto three = check_division(shape, 3);
  ASSERT_FALSE(three);
  EXPECT_THAT(three.error().message,
              HasSubstr("16 query heads, experts of a width of 1408 and a feed forward width"));
}

TEST(DivisionCheck, GemmasAreShared) {
  DecoderShape gemma = shape_with(8, 4, 10'240, 262'208);
  gemma.gemma.used = true;
  EXPECT_TRUE(check_division(gemma, 4));
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
