// Quantized matrices of folders: what becomes of them, and what is said of damaged ones. Whole
// models, packed by another hand, are in tests/peers/test_quantized.py.
#include "backends/local/loader/dequantize.h"
#include "backends/local/loader/model_file.h"
#include "tests/unit/folder_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway::loader {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kRows = 16, kColumns = 256, kGroup = 128;
constexpr std::uint16_t kHalf = 0x3800;                         // 0.5
constexpr std::size_t kZerosBegin = 32 + kRows * kColumns / 2;  // Behind a norm and the codes.

// Code (row + column) mod 16 of each weight, as GPTQ packs it: eight columns of a row to a word.
int code_at(std::int64_t row, std::int64_t column) { return static_cast<int>((row + column) % 16); }

class Quantized : public testing::Test {
 protected:
  Quantized() : folder_("loader_quantized_test-") {
    folder_.tensor("model.norm.weight", {8});
    add("qweight", "I32", {kColumns / 8, kRows}, words([](std::int64_t line, std::int64_t row) {
          std::uint32_t word = 0;
          for (int i = 0; i < 8; ++i)
            word |= static_cast<std::uint32_t>(code_at(row, line * 8 + i)) << 4 * i;
          return word;
        }));
    add("qzeros", "I32", {2, kRows / 8}, std::vector<std::uint32_t>(4, 0x77777777U));
    add("scales", "F16", {2, kRows}, std::vector<std::uint16_t>(2 * kRows, kHalf));
    set({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", kGroup}});
  }

  template <class Make>
  static std::vector<std::uint32_t> words(Make make) {
    std::vector<std::uint32_t> out;
    for (std::int64_t line = 0; line < kColumns / 8; ++line) {
      for (std::int64_t row = 0; row < kRows; ++row) out.push_back(make(line, row));
    }
    return out;
  }

  template <class Value>
  void add(const std::string& part, const char* type, const json& shape,
           const std::vector<Value>& values) {
    folder_.tensor("model.layers.0.self_attn.q_proj." + part, type, shape, values);
  }

  void set(const json& quantization) {
    const json config = {{"model_type", "llama"},    {"num_hidden_layers", 1},
                         {"hidden_size", kColumns},  {"intermediate_size", 64},
                         {"num_attention_heads", 2}, {"quantization_config", quantization}};
    folder_.write("config.json", config.dump());
  }

  Result<ModelFile> open(Bytes bytes = Bytes::all) const {
    folder_.write_tensors();
    return ModelFile::open(folder_.path, bytes);
  }
  std::string error_of_opening() const {
    const auto file = open();
    return file ? "opened" : file.error().message;
  }
  std::string error_with(const json& quantization) {
    set(quantization);
    return error_of_opening();
  }

  FolderWriter folder_;
};

TEST_F(Quantized, ZeroPointsInTheMiddleLoseNothing) {
  const auto file = open();
  ASSERT_TRUE(file) << file.error().message;
  const Tensor* query = file->find("blk.0.attn_q.weight");
  ASSERT_NE(query, nullptr);
  EXPECT_EQ(query->type, TensorType::q4_0);
  EXPECT_THAT(query->shape, ElementsAre(kRows, kColumns));
  ASSERT_TRUE(file->four_bits());
  EXPECT_EQ(file->four_bits()->columns, kGroup);
  EXPECT_FALSE(file->four_bits()->zeros);
  std::vector<float> row(kColumns);
  ASSERT_TRUE(dequantize(*query, 5, 1, row));
  for (std::int64_t i = 0; i < kColumns; ++i)
    EXPECT_EQ(row[static_cast<std::size_t>(i)], 0.5F * static_cast<float>(code_at(5, i) - 8));
}

TEST_F(Quantized, OtherZeroPointsAreOffsets) {
  const std::uint32_t zeros[] = {0x77777777U, 0x7F777777U, 0, 0};
  folder_.data.replace(kZerosBegin, sizeof zeros, reinterpret_cast<const char*>(zeros),
                       sizeof zeros);
  const auto file = open();
  ASSERT_TRUE(file) << file.error().message;
  const Tensor* query = file->find("blk.0.attn_q.weight");
  EXPECT_EQ(query->type, TensorType::q4_1);
  ASSERT_TRUE(file->four_bits());
  EXPECT_TRUE(file->four_bits()->zeros);
  std::vector<float> all(kRows * kColumns);
  ASSERT_TRUE(dequantize(*query, all));
  EXPECT_EQ(all[14 * kColumns], 0.5F * static_cast<float>(code_at(14, 0)));  // 15 + 1 wraps.
  EXPECT_EQ(all[15 * kColumns], 0.5F * static_cast<float>(code_at(15, 0) - 8));
  EXPECT_EQ(all[200], 0.5F * static_cast<float>(code_at(0, 200) - 1));
}

TEST_F(Quantized, ColumnsOfAnyOrderAreReadOneByOne) {
  std::vector<std::int32_t> group_of;
  for (int i = 0; i < kColumns; ++i) group_of.push_back(i % 2);
  add("g_idx", "I32", {kColumns}, group_of);
  const auto file = open();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->find("blk.0.attn_q.weight")->type, TensorType::bf16);
  EXPECT_FALSE(file->four_bits());
}

TEST_F(Quantized, GroupsAreOf128OrPartsOfThat) {
  for (const auto& [in_file, groups, columns] : {std::tuple{64, 4, 64},
                                                 {32, 8, 32},
                                                 {96, 3, 32},
                                                 {192, 2, 64},
                                                 {256, 1, 128},
                                                 {-1, 1, 128}}) {
    set({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", in_file}});
    for (const char* part : {"qzeros", "scales"})
      folder_.table.erase("model.layers.0.self_attn.q_proj." + std::string(part));
    folder_.data.resize(kZerosBegin);
    add("qzeros", "I32", {groups, kRows / 8},
        std::vector<std::uint32_t>(groups * kRows / 8, 0x77777777U));
    add("scales", "F16", {groups, kRows}, std::vector<std::uint16_t>(groups * kRows, kHalf));
    const auto file = open();
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->four_bits());
    EXPECT_EQ(file->four_bits()->columns, columns) << in_file;
    EXPECT_EQ(file->four_bits()->zeros, columns != 128) << in_file;
  }
}

TEST_F(Quantized, AMatrixThatIsLeftInMoreBitsLeavesNoFourBits) {
  folder_.tensor("model.layers.0.self_attn.k_proj.weight", {8, kColumns});
  const auto file = open();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_FALSE(file->four_bits());
}

TEST_F(Quantized, AsTheyLieTheyAreCheckedAndHaveNoBytes) {
  const auto file = open(Bytes::as_they_lie);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->four_bits());
  EXPECT_TRUE(file->find("blk.0.attn_q.weight")->pieces.empty());
  folder_.table.erase("model.layers.0.self_attn.q_proj.scales");
  folder_.data.resize(kZerosBegin + 16);
  EXPECT_FALSE(open(Bytes::as_they_lie));
}

TEST_F(Quantized, APartThatIsMissingOrMisshapenIsNamed) {
  auto& scales = folder_.table["model.layers.0.self_attn.q_proj.scales"];
  scales["shape"] = {kRows, 2};
  EXPECT_THAT(error_of_opening(), HasSubstr("q_proj.scales is 16 x 2, expected 2 x 16"));
  scales["shape"] = {2, kRows};
  scales["dtype"] = "I16";
  EXPECT_THAT(error_of_opening(), HasSubstr("q_proj.scales has type I16, expected F16"));
  folder_.table.erase("model.layers.0.self_attn.q_proj.scales");
  folder_.data.resize(kZerosBegin + 16);
  EXPECT_THAT(error_of_opening(), HasSubstr("q_proj.scales is missing, expected 2 x 16"));
}

TEST_F(Quantized, AColumnOfNoGroupIsNamed) {
  std::vector<std::int32_t> group_of(kColumns, 1);
  group_of[7] = 2;
  add("g_idx", "I32", {kColumns}, group_of);
  EXPECT_THAT(error_of_opening(), HasSubstr("q_proj.g_idx has 2 at 7, expected one of 2 groups"));
}

TEST_F(Quantized, WhatIsNotReadIsSaidByItsKey) {
  const json good = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}};
  const auto with = [&](const json& change) {
    json config = good;
    config.update(change);
    return error_with(config);
  };
  EXPECT_EQ(error_with(good), "opened");
  EXPECT_THAT(with({{"bits", 3}}), HasSubstr("bits is 3: 4 are read"));
  EXPECT_THAT(with({{"group_size", 24}}), HasSubstr("group_size is 24: multiples of 32"));
  EXPECT_THAT(with({{"group_size", nullptr}}), HasSubstr("group_size is null"));
  EXPECT_THAT(with({{"checkpoint_format", "marlin"}}), HasSubstr("gptq_v2 are read"));
  EXPECT_THAT(with({{"quant_method", "bitsandbytes"}}), HasSubstr("quant_method is"));
  EXPECT_THAT(with({{"quant_method", "awq"}, {"version", "gemv"}}), HasSubstr("gemm is read"));
  EXPECT_THAT(error_with({{"quant_method", "fp8"}, {"weight_block_size", {128}}}),
              HasSubstr("weight_block_size"));
  EXPECT_THAT(error_with({{"quant_method", "compressed-tensors"}}), HasSubstr("config_groups"));
  EXPECT_THAT(error_with("int4"), HasSubstr("quant_method"));
}

}  // namespace
}  // namespace spillway::loader
