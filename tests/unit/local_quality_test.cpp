// What each storage of a model takes, from its file alone, and what is said where nothing computes.
#include "backends/local/arch/arch_spec.h"
#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/quality.h"
#include "tests/unit/four_bit_folder.h"
#include "tests/unit/tiny_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <unistd.h>
#include <vector>

namespace spillway::local {
namespace {

class Quality : public testing::Test {
 protected:
  Quality() { model_.write(path_); }
  ~Quality() override { std::filesystem::remove(path_); }

  Cost memory(const Storage& storage) const {
    const auto cost = memory_cost(path_, storage);
    EXPECT_TRUE(cost);
    return cost ? *cost : Cost();
  }

  const TinyModel model_{"llama"};
  const std::string path_ = (std::filesystem::temp_directory_path() /
                             ("spillway-quality-" + std::to_string(getpid()) + ".gguf"))
                                .string();
};

// Two layers of qkv 256 × 32, out 32 × 128, gate and up 128 × 32, down 32 × 64.
constexpr std::int64_t kMatrixWeights = 2 * 18'432;
constexpr std::int64_t kRows = 2 * (256 + 32 + 128 + 32);
// An embedding of 48 × 32, two norms a layer and a last one.
constexpr std::int64_t kOthers = 48 * 32 + 5 * 32;

TEST_F(Quality, MemoryIsCountedWithScales) {
  EXPECT_EQ(memory({Precision::fp32}).matrix_bytes, 4 * kMatrixWeights);
  EXPECT_EQ(memory({Precision::fp32}).weight_bytes, 4 * (kMatrixWeights + kOthers));
  EXPECT_EQ(memory({Precision::bf16}).weight_bytes, 2 * (kMatrixWeights + kOthers));
  EXPECT_EQ(memory({Precision::int8}).weight_bytes, kMatrixWeights + 4 * kRows + 2 * kOthers);
  // Every row is one group of 128, most of them filled up.
  EXPECT_EQ(memory({Precision::int4}).matrix_bytes, kRows * 66);
}

TEST_F(Quality, KeysAndValuesTakeHalfAndAScaleInFp8) {
  EXPECT_EQ(memory({Precision::fp32}).kv_token_bytes, 2 * 2 * 64 * 4);
  EXPECT_EQ(memory({Precision::int4}).kv_token_bytes, 2 * 2 * 64 * 2);
  EXPECT_EQ(memory({Precision::int4, true}).kv_token_bytes, 2 * 2 * (64 + 4));
}

// Of a mixture with latent rows, its first layer dense.
TEST(FewerBits, AreOfExpertsAndNotOfWhatChoosesThem) {
  cuda::DecoderShape shape;
  shape.layers = 2;
  shape.width = 256;
  shape.feed_forward_width = 320;
  shape.query_heads = 4;
  shape.kv_heads = 1;
  shape.head_width = 128;
  shape.vocabulary = 512;
  shape.latent.width = 512;
  shape.latent.rope_width = 64;
  shape.latent.key_width = 64;
  shape.latent.value_width = 128;
  shape.experts.count = 16;
  shape.experts.chosen = 3;
  shape.experts.shared = 2;
  shape.experts.width = 64;
  shape.experts.dense_layers = 1;
  shape.experts.biased = true;
  std::set<std::string> fewer;
  for (const cuda::RoomShape& room : cuda::rooms_of(shape)) {
    if (cuda::is_matrix_of_layer(room)) fewer.insert(room.name.substr(room.name.rfind('.') + 1));
  }
  EXPECT_EQ(fewer, (std::set<std::string>{"qkv", "attention_out", "gate_up", "down",
                                          "expert_gate_up", "expert_down"}));
}

TEST_F(Quality, WithoutAnExecutorThereIsMemoryAlone) {
  std::vector<Cost> costs;
  ASSERT_TRUE(measure_costs(path_, "", [&](const Cost& cost) { costs.push_back(cost); }));
  ASSERT_EQ(costs.size(), 8u);
  for (const Cost& cost : costs) EXPECT_FALSE(cost.drift);
  EXPECT_EQ(costs.front().storage.weights, Precision::fp32);
}

TEST_F(Quality, SaysWhatIsWrong) {
  const auto ignore = [](const Cost&) {};
  EXPECT_FALSE(measure_costs(path_, "abacus", ignore));
  EXPECT_FALSE(measure_costs("/nowhere.gguf", "", ignore));
  EXPECT_FALSE(memory_cost("/nowhere.gguf", {}));
}

// GPT-2's letter for a byte, in UTF-8: those that cannot be seen stand behind the first 256.
std::string letter_of(int byte) {
  int unseen = 0;
  const auto seen = [](int one) {
    return (one > 32 && one < 127) || (one > 160 && one != 173 && one < 256);
  };
  for (int before = 0; before < byte; ++before) unseen += seen(before) ? 0 : 1;
  const int point = seen(byte) ? byte : 256 + unseen;
  if (point < 128) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
}

// A tokenizer whose tokens are bytes.
void write_tokenizer(const std::string& folder) {
  loader::json vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary[letter_of(byte)] = byte;
  const loader::json tokenizer = {
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", loader::json::array()}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"use_regex", true}}},
      {"added_tokens", {{{"id", 256}, {"content", "</s>"}, {"special", true}}}}};
  std::ofstream(folder + "/tokenizer.json") << tokenizer.dump();
  std::ofstream(folder + "/tokenizer_config.json")
      << R"({"chat_template":"{{ messages }}","eos_token":"</s>"})";
}

// The GPU keeps a dense model's; of a mixture's it makes four bits anew, by 128.
TEST(MemoryOfFourBits, IsOfThoseThatAreKept) {
  for (const int experts : {0, 16}) {
    const loader::FourBitFolder folder("gptq", 64, 5, experts);
    const auto file = loader::ModelFile::open(folder.path());
    ASSERT_TRUE(file) << file.error().message;
    const auto spec = read_arch_spec(*file);
    ASSERT_TRUE(spec) << spec.error().message;
    const auto shape = cuda::shape_of(*spec, 512);
    ASSERT_TRUE(shape);
    std::int64_t anew = 0;
    for (const cuda::RoomShape& room : cuda::rooms_of(*shape)) {
      if (cuda::is_matrix_of_layer(room))
        anew += matrix_bytes(Precision::int4, room.rows, room.columns);
    }
    const auto cost = memory_cost(folder.path(), {Precision::int4});
    ASSERT_TRUE(cost);
    EXPECT_EQ(cost->matrix_bytes == anew, experts > 0);
  }
}

// As bf16 they are the file's own bits, too: nothing is lost twice.
TEST(QualityOfFourBits, AFilesOwnAreKept) {
  if (measuring_executor() != "torch") GTEST_SKIP() << "takes LibTorch";
  const loader::FourBitFolder folder("gptq", 64, 5);
  write_tokenizer(folder.path());
  std::vector<Cost> costs;
  const auto measured =
      measure_costs(folder.path(), "torch", [&](const Cost& cost) { costs.push_back(cost); });
  ASSERT_TRUE(measured) << measured.error().message;
  for (const Cost& cost : costs) {
    ASSERT_TRUE(cost.drift);
    const bool is_int4 = cost.storage.weights == Precision::int4 && !cost.storage.kv_fp8;
    if (is_int4) {
      EXPECT_EQ(cost.drift->divergence, 0.0);
    }
    if (cost.storage.weights == Precision::int8) {
      EXPECT_GT(cost.drift->divergence, 0.0);
    }
  }
}

}  // namespace
}  // namespace spillway::local
