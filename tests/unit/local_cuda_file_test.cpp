// What the GPU decoder gets from a model file: every row of the checkpoint, in its room, once.
#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/file_weights.h"
#include "tests/unit/deepseek_folder.h"
#include "tests/unit/tiny_deepseek.h"
#include "tests/unit/tiny_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <mutex>
#include <unistd.h>
#include <utility>

namespace spillway::local::cuda {
namespace {

using testing::HasSubstr;

using Rooms = std::map<std::string, std::vector<float>>;

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// One a thread.
struct Buffers {
  Buffers(int count, std::size_t elements)
      : memory(static_cast<std::size_t>(count), std::vector<std::uint16_t>(elements)) {
    for (auto& buffer : memory) spans.emplace_back(buffer);
  }

  std::vector<std::vector<std::uint16_t>> memory;
  std::vector<std::span<std::uint16_t>> spans;
};

class FileWeights : public testing::Test {
 protected:
  template <class Model>
  loader::ModelFile open(const Model& model) {
    auto file = loader::ModelFile::open(model.write(path_));
    if (!file) throw std::runtime_error(file.error().message);
    return std::move(*file);
  }

  // All rooms as the sink saw them: every element once, in whatever order.
  template <class Model>
  Result<Rooms> read(const Model& model, std::size_t part_elements_max, int threads = 3) {
    const auto file = open(model);
    auto spec = read_arch_spec(file);
    if (!spec) return spec.error();
    if (norms_less_one_) spec->gemma.norms_less_one = true;
    const Buffers buffers(threads, part_elements_max);
    std::mutex mutex;
    std::map<std::string, std::map<std::int64_t, float>> seen;
    const auto done = read_weights(file, *spec, buffers.spans, [&](const RoomPart& part) {
      EXPECT_EQ(part.values.data(), buffers.spans.at(part.buffer).data());
      const std::lock_guard lock(mutex);
      longest_part_ = std::max(longest_part_, part.values.size());
      auto& room = seen[std::string(part.room)];
      std::int64_t at = part.first;
      for (const auto bits : part.values) {
        EXPECT_TRUE(room.emplace(at++, from_bf16(bits)).second) << part.room;
      }
      return Result<void>();
    });
    if (!done) return done.error();
    return without_holes(seen);
  }

  static Rooms without_holes(const std::map<std::string, std::map<std::int64_t, float>>& seen) {
    Rooms rooms;
    for (const auto& [name, elements] : seen) {
      EXPECT_EQ(elements.rbegin()->first + 1, static_cast<std::int64_t>(elements.size())) << name;
      for (const auto& [at, value] : elements) rooms[name].push_back(value);
    }
    return rooms;
  }

  // The decoder on the device has exactly the rooms that the file fills.
  template <class Model>
  void expect_every_room_filled(const Model& model) {
    const auto rooms = read(model, 1'000'000);
    ASSERT_TRUE(rooms) << rooms.error().message;
    const auto shape = shape_of(*read_arch_spec(open(model)), 512);
    ASSERT_TRUE(shape) << shape.error().message;
    const auto wanted = rooms_of(*shape);
    EXPECT_EQ(wanted.size(), rooms->size());
    for (const RoomShape& room : wanted) {
      ASSERT_TRUE(rooms->contains(room.name)) << room.name;
      EXPECT_EQ(rooms->at(room.name).size(), static_cast<std::size_t>(room.rows * room.columns))
          << room.name;
    }
  }

  std::string error_of(const TinyModel& model) {
    const auto rooms = read(model, 1000);
    return rooms ? "no error" : rooms.error().message;
  }

  void TearDown() override { std::filesystem::remove(path_); }

  const std::string path_ =
      testing::TempDir() + "cuda-file-" + std::to_string(::getpid()) + ".gguf";
  std::size_t longest_part_ = 0;
  bool norms_less_one_ = false;  // As folders of Gemma have them.
};

// Of each expert its gate, then its up.
std::vector<float> gates_and_ups(const TinyModel& model, const std::string& from) {
  constexpr std::ptrdiff_t kEach = TinyModel::kExpertInner * TinyModel::kWidth;
  std::vector<float> rows;
  for (std::ptrdiff_t expert = 0; expert < TinyModel::kExperts; ++expert) {
    for (const std::string name : {"ffn_gate_exps.weight", "ffn_up_exps.weight"}) {
      const auto begin = model.checkpoint.at(from + name).begin() + expert * kEach;
      rows.insert(rows.end(), begin, begin + kEach);
    }
  }
  return rows;
}

// The rooms of a checkpoint, by the words of DecoderWeights.
Rooms expected_rooms(const TinyModel& model) {
  const auto stacked = [&](std::initializer_list<std::string> names) {
    std::vector<float> rows;
    for (const std::string& name : names) {
      const auto& tensor = model.checkpoint.at(name);
      rows.insert(rows.end(), tensor.begin(), tensor.end());
    }
    return rows;
  };
  Rooms rooms;
  rooms["embedding"] = stacked({"token_embd.weight"});
  rooms["last_norm"] = stacked({"output_norm.weight"});
  if (model.shapes.contains("output.weight")) rooms["head"] = stacked({"output.weight"});
  for (int i = 0; i < TinyModel::kLayers; ++i) {
    const std::string from = "blk." + std::to_string(i) + ".";
    const std::string to = "layers." + std::to_string(i) + ".";
    rooms[to + "attention_norm"] = stacked({from + "attn_norm.weight"});
    rooms[to + "qkv"] =
        stacked({from + "attn_q.weight", from + "attn_k.weight", from + "attn_v.weight"});
    if (model.architecture == "qwen2") {
      rooms[to + "qkv_bias"] =
          stacked({from + "attn_q.bias", from + "attn_k.bias", from + "attn_v.bias"});
    }
    if (model.architecture.starts_with("qwen3")) {
      rooms[to + "q_norm"] = stacked({from + "attn_q_norm.weight"});
      rooms[to + "k_norm"] = stacked({from + "attn_k_norm.weight"});
    }
    rooms[to + "attention_out"] = stacked({from + "attn_output.weight"});
    rooms[to + "feed_forward_norm"] = stacked({from + "ffn_norm.weight"});
    if (model.architecture == "qwen3moe") {
      rooms[to + "router"] = stacked({from + "ffn_gate_inp.weight"});
      rooms[to + "expert_gate_up"] = gates_and_ups(model, from);
      rooms[to + "expert_down"] = stacked({from + "ffn_down_exps.weight"});
      continue;
    }
    rooms[to + "gate_up"] = stacked({from + "ffn_gate.weight", from + "ffn_up.weight"});
    rooms[to + "down"] = stacked({from + "ffn_down.weight"});
  }
  return rooms;
}

TEST_F(FileWeights, RoomsHoldTheRowsOfTheCheckpoint) {
  for (const std::string architecture : {"llama", "qwen2", "qwen3", "qwen3moe"}) {
    for (const bool separate_head : {false, true}) {
      SCOPED_TRACE(architecture);
      const TinyModel model(architecture, separate_head);
      const auto rooms = read(model, 1'000'000);
      ASSERT_TRUE(rooms) << rooms.error().message;
      EXPECT_EQ(*rooms, expected_rooms(model));
    }
  }
}

TEST_F(FileWeights, LlamasBiasesAreReorderedAsItsRows) {
  TinyModel model("llama");
  for (int i = 0; i < TinyModel::kLayers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    model.add(prefix + "attn_q.bias", {128});
    model.add(prefix + "attn_k.bias", {64});
    model.add(prefix + "attn_v.bias", {64});
  }
  const auto rooms = read(model, 1'000'000);
  ASSERT_TRUE(rooms) << rooms.error().message;
  const auto& bias = rooms->at("layers.1.qkv_bias");
  ASSERT_EQ(bias.size(), 256U);
  const auto& q = model.checkpoint.at("blk.1.attn_q.bias");
  EXPECT_EQ(std::vector<float>(bias.begin(), bias.begin() + 128), q);
}

TinyModel tiny_gemma() {
  TinyModel model("gemma3");
  for (int i = 0; i < TinyModel::kLayers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    model.add(prefix + "attn_q_norm.weight", {TinyModel::kHeadWidth});
    model.add(prefix + "attn_k_norm.weight", {TinyModel::kHeadWidth});
    model.add(prefix + "post_attention_norm.weight", {TinyModel::kWidth});
    model.add(prefix + "post_ffw_norm.weight", {TinyModel::kWidth});
  }
  return model;
}

TEST_F(FileWeights, NormsOfGemmaFoldersAreOneMore) {
  const TinyModel model = tiny_gemma();
  expect_every_room_filled(model);
  const auto plain = read(model, 1'000'000);
  norms_less_one_ = true;
  const auto more = read(model, 1'000'000);
  ASSERT_TRUE(plain && more);
  for (const auto& [name, values] : *plain) {
    SCOPED_TRACE(name);
    const float by = name.ends_with("norm") ? 1.0f : 0.0f;
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(more->at(name)[i], from_bf16(to_bf16(values[i] + by)));
    }
  }
  EXPECT_EQ(plain->at("layers.1.post_feed_forward_norm"),
            model.checkpoint.at("blk.1.post_ffw_norm.weight"));
}

TEST_F(FileWeights, EveryRoomOfTheDecoderIsFilled) {
  for (const std::string architecture : {"llama", "qwen2", "qwen3"}) {
    for (const bool separate_head : {false, true}) {
      SCOPED_TRACE(architecture);
      expect_every_room_filled(TinyModel(architecture, separate_head));
    }
  }
  TinyDeepseek deepseek;
  deepseek.add("blk.1.exp_probs_b.bias", {TinyDeepseek::kExperts});
  expect_every_room_filled(deepseek);
}

// Each expert has its gate, then its up; the shared ones are cut out of one feed forward.
TEST_F(FileWeights, ExpertsLieBehindEachOther) {
  const TinyDeepseek model;
  constexpr std::size_t kInner = TinyDeepseek::kExpertInner;
  constexpr std::size_t kRows = kInner * TinyDeepseek::kWidth;  // Elements of an expert's gate.
  const auto rooms = read(model, 5'000);
  ASSERT_TRUE(rooms) << rooms.error().message;
  const auto& gate_up = rooms->at("layers.1.expert_gate_up");
  const auto& down = rooms->at("layers.1.expert_down");
  const auto same = [](const std::vector<float>& room, std::size_t at,
                       const std::vector<float>& tensor, std::size_t from, std::size_t count) {
    return std::equal(room.begin() + std::ptrdiff_t(at), room.begin() + std::ptrdiff_t(at + count),
                      tensor.begin() + std::ptrdiff_t(from));
  };
  for (std::size_t e = 0; e < TinyDeepseek::kExperts + TinyDeepseek::kShared; ++e) {
    const bool shared = e >= TinyDeepseek::kExperts;
    const std::string kind = shared ? "shexp" : "exps";
    const std::size_t own = shared ? e - TinyDeepseek::kExperts : e;
    const auto& gate = model.tensors.at("blk.1.ffn_gate_" + kind + ".weight");
    const auto& up = model.tensors.at("blk.1.ffn_up_" + kind + ".weight");
    const auto& out = model.tensors.at("blk.1.ffn_down_" + kind + ".weight");
    EXPECT_TRUE(same(gate_up, 2 * e * kRows, gate, own * kRows, kRows)) << e;
    EXPECT_TRUE(same(gate_up, (2 * e + 1) * kRows, up, own * kRows, kRows)) << e;
    for (std::size_t row = 0; row < TinyDeepseek::kWidth; ++row) {
      const std::size_t to = (e * TinyDeepseek::kWidth + row) * kInner;
      const std::size_t from = shared ? row * TinyDeepseek::kShared * kInner + own * kInner
                                      : (own * TinyDeepseek::kWidth + row) * kInner;
      EXPECT_TRUE(same(down, to, out, from, kInner)) << e;
    }
  }
}

TEST_F(FileWeights, PartsAndThreadsMakeNoDifference) {
  constexpr std::size_t kLongestRow = 128;
  const TinyModel model("llama");
  for (const std::size_t part : {kLongestRow, std::size_t{200}, std::size_t{4096}}) {
    for (const int threads : {1, 2, 7}) {
      longest_part_ = 0;
      const auto rooms = read(model, part, threads);
      ASSERT_TRUE(rooms) << rooms.error().message;
      EXPECT_EQ(*rooms, expected_rooms(model));
      EXPECT_LE(longest_part_, part);
    }
  }
  const auto rooms = read(model, kLongestRow - 1);
  ASSERT_FALSE(rooms);
  EXPECT_THAT(rooms.error().message, HasSubstr("blk.0.attn_output.weight has rows too long"));
}

// Rows of bf16 are copied, not converted.
TEST_F(FileWeights, RowsOfBf16AreTaken) {
  for (const std::string architecture : {"llama", "qwen2"}) {
    TinyModel model(architecture);
    model.bf16 = true;
    const auto rooms = read(model, 1000);
    ASSERT_TRUE(rooms) << rooms.error().message;
    EXPECT_EQ(*rooms, expected_rooms(model));
  }
}

// Experts in pieces, and keys and values taken apart, are what a GGUF file has of the same model.
TEST_F(FileWeights, AFolderGivesWhatItsGgufFileDoes) {
  const TinyDeepseek model;
  const DeepseekFolder folder(model);
  for (const std::size_t elements : {1'000, 20'000}) {
    const auto expected = read(model, elements);
    const auto rooms = read(folder, elements);
    ASSERT_TRUE(expected) << expected.error().message;
    ASSERT_TRUE(rooms) << rooms.error().message;
    EXPECT_EQ(*rooms, *expected);
  }
}

TEST_F(FileWeights, ErrorsNameTheTensor) {
  TinyModel model("llama");
  model.add("blk.1.ffn_up.weight", {63, 32});
  EXPECT_THAT(error_of(model), HasSubstr("blk.1.ffn_up.weight is 63 x 32, expected 64 x 32"));
  model.remove("blk.1.ffn_up.weight");
  EXPECT_THAT(error_of(model), HasSubstr("blk.1.ffn_up.weight"));
  TinyModel other("llama");
  other.add("blk.0.attn_output.bias", {32});
  EXPECT_THAT(error_of(other), HasSubstr("blk.0.attn_output.bias is none that executor: cuda"));
}

TEST_F(FileWeights, StopsAtTheFirstErrorOfTheSink) {
  const auto file = open(TinyModel("llama"));
  for (const int threads : {1, 3}) {
    const Buffers buffers(threads, 1000);
    std::atomic<int> calls = 0;
    const auto done = read_weights(file, *read_arch_spec(file), buffers.spans,
                                   [&](const RoomPart&) -> Result<void> {
                                     ++calls;
                                     return Error{Errc::backend_unavailable, "full"};
                                   });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "full");
    EXPECT_LE(calls, threads);
  }
}

TEST(ToBf16, RoundsToTheNearestEven) {
  const auto rounded = [](float value) { return from_bf16(to_bf16(value)); };
  EXPECT_EQ(rounded(1.0f), 1.0f);
  EXPECT_EQ(rounded(-3.5f), -3.5f);
  EXPECT_EQ(rounded(1.0f + 0x1p-8f), 1.0f);               // Half way: the even one.
  EXPECT_EQ(rounded(1.0f + 0x3p-8f), 1.0f + 0x4p-8f);     // Half way: the even one is above.
  EXPECT_EQ(rounded(1.0f + 0x1.01p-8f), 1.0f + 0x2p-8f);  // Just above half way.
  EXPECT_EQ(rounded(-0.0f), 0.0f);
  EXPECT_TRUE(std::signbit(rounded(-0.0f)));
  EXPECT_TRUE(std::isinf(rounded(std::numeric_limits<float>::max())));
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
}

class ShapeOfASpec : public testing::Test {
 protected:
  std::string error() const {
    const auto shape = shape_of(spec_, 4096);
    return shape ? "no error" : shape.error().message;
  }

  // SmolLM2-135M.
  ArchSpec spec_{.name = "llama",
                 .layers = 30,
                 .width = 576,
                 .feed_forward_width = 1536,
                 .query_heads = 9,
                 .kv_heads = 3,
                 .head_width = 64,
                 .vocabulary = 49152,
                 .context_max = 8192,
                 .norm_epsilon = 1e-5};
};

TEST_F(ShapeOfASpec, ContextIsTheSmallerOfTwo) {
  EXPECT_EQ(shape_of(spec_, 4096)->context_max, 4096);
  EXPECT_EQ(shape_of(spec_, 100'000)->context_max, 8192);
  EXPECT_EQ(shape_of(spec_, 4096)->qkv_width(), 960);
}

TEST_F(ShapeOfASpec, WhatTheKernelsDoNotTakeIsRefused) {
  EXPECT_EQ(error(), "no error");
  spec_.vocabulary = 49153;
  EXPECT_THAT(error(), HasSubstr("the vocabulary is 49153, and executor: cuda takes multiples of"));
  spec_.vocabulary = 49152;
  spec_.head_width = 80;
  EXPECT_THAT(error(), HasSubstr("the width of a head is 80"));
  spec_.head_width = 128;
  spec_.width = 16'416;
  EXPECT_THAT(error(), HasSubstr("the width is 16416"));
  spec_.width = 592;
  EXPECT_THAT(error(), HasSubstr("the width is 592"));
  spec_.width = 16'384;
  spec_.feed_forward_width = 1552;
  EXPECT_THAT(error(), HasSubstr("the feed forward width is 1552"));
}

TEST_F(ShapeOfASpec, WindowsAndGemmasAreRun) {
  spec_.head_width = 256;
  spec_.score_width = 144;
  spec_.windows.width = 512;
  spec_.windows.of_layers.assign(30, true);
  ASSERT_EQ(error(), "no error");
  EXPECT_EQ(shape_of(spec_, 4096)->windows.width, 512);
  EXPECT_EQ(shape_of(spec_, 4096)->score_width, 144);
  const auto behind_products = [&] {
    const auto rooms = rooms_of(*shape_of(spec_, 4096));
    return std::ranges::count_if(rooms, [](const RoomShape& room) {
      return room.name.ends_with("post_attention_norm") ||
             room.name.ends_with("post_feed_forward_norm");
    });
  };
  EXPECT_EQ(behind_products(), 0);
  spec_.gemma.used = true;
  EXPECT_EQ(behind_products(), 60);
  spec_.attention_out_bias = true;
  EXPECT_THAT(error(), HasSubstr("a bias on what attention yields"));
}

// Qwen3-30B-A3B: every layer has experts, none is shared, and heads have keys of their own.
TEST_F(ShapeOfASpec, ExpertsGoWithHeadsOfAnyKind) {
  spec_.width = 2048;
  spec_.query_heads = 32;
  spec_.kv_heads = 4;
  spec_.head_width = 128;
  spec_.head_norms = true;
  spec_.experts = {.count = 128, .chosen = 8, .width = 768, .normalised = true};
  ASSERT_EQ(error(), "no error");
  const auto shape = shape_of(spec_, 4096);
  EXPECT_EQ(shape->qkv_width(), 40 * 128);
  EXPECT_EQ(shape->kv_token_width(), 2 * 4 * 128);
  EXPECT_TRUE(shape->has_experts(0));
  EXPECT_TRUE(shape->experts.normalised);
  const auto is_dense = [](const RoomShape& room) { return room.name.ends_with(".gate_up"); };
  EXPECT_EQ(std::ranges::count_if(rooms_of(*shape), is_dense), 0);
}

class ShapeOfADeepseek : public ShapeOfASpec {
 protected:
  void SetUp() override {
    spec_.width = 2048;
    spec_.head_width = spec_.latent.value_width = spec_.latent.key_width = 128;
    spec_.query_heads = 16;
    spec_.latent.width = 512;
    spec_.latent.rope_width = 64;
    spec_.experts.count = 64;
    spec_.experts.chosen = 6;
    spec_.experts.shared = 2;
    spec_.experts.width = 1408;
  }
};

TEST_F(ShapeOfADeepseek, WidthsAreThoseOfTheFusedProjectionAndTheLine) {
  ASSERT_EQ(error(), "no error");
  EXPECT_EQ(shape_of(spec_, 4096)->qkv_width(), 16 * 192 + 576);
  EXPECT_EQ(shape_of(spec_, 4096)->kv_token_width(), 576);
  EXPECT_TRUE(shape_of(spec_, 4096)->has_experts(0));
}

TEST_F(ShapeOfADeepseek, WhatTheKernelsDoNotTakeIsRefused) {
  const auto expect = [&](int& size, int wrong, const std::string& message) {
    const int right = std::exchange(size, wrong);
    EXPECT_THAT(error(), HasSubstr(message));
    size = right;
    EXPECT_EQ(error(), "no error");
  };
  expect(spec_.latent.query_width, 1536, "the rank of queries is 1536");
  expect(spec_.latent.width, 256, "the latent width is 256");
  expect(spec_.latent.rope_width, 32, "the rotated width is 32");
  expect(spec_.latent.key_width, 96, "the width of keys is 96");
  expect(spec_.latent.value_width, 192, "the width of values is 192");
  expect(spec_.experts.count, 272, "the number of experts is 272");
  expect(spec_.experts.chosen, 31, "the number of experts of a token is 33");
  expect(spec_.experts.groups, 64, "the number of groups is 64");
  expect(spec_.experts.width, 1440, "the width of experts is 1440");
  expect(spec_.width, 2112, "the width is 2112");
}

}  // namespace
}  // namespace spillway::local::cuda
