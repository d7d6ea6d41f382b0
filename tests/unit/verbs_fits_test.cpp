// A model that cannot fit is refused with what would fit; one that just fits is not.
#include "gateway/verbs/fits.h"
#include "tests/unit/four_bit_folder.h"
#include "tests/unit/tiny_deepseek.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <unistd.h>

namespace spillway::verbs {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kGiB = 1LL << 30;

// The article's: 10 B parameters. Half precision takes 20 GB of them, not 45.
MemoryNeed ten_billion(double bytes_each) {
  MemoryNeed need;
  need.parameters = 10'000'000'000;
  need.weight_bytes = static_cast<std::int64_t>(10e9 * bytes_each);
  need.kv_token_bytes = 131'072;
  need.kv_tokens = 32'768;
  return need;
}

TEST(Fits, AtTheLimitAndPastIt) {
  config::LocalTarget target;
  target.precision = "bf16";
  const MemoryNeed need = ten_billion(2.0);
  EXPECT_FALSE(does_not_fit(target, need, need.bytes()));
  EXPECT_TRUE(does_not_fit(target, need, need.bytes() - 1));
}

TEST(Fits, SaysWhatWould) {
  config::LocalTarget target;
  target.precision = "bf16";
  const auto refusal = does_not_fit(target, ten_billion(2.0), 20 * kGiB);
  ASSERT_TRUE(refusal);
  EXPECT_THAT(*refusal, HasSubstr("18.6 GiB of weights as bf16"));
  EXPECT_THAT(*refusal, HasSubstr("the rule of 45 GB for 10 B parameters: 41.9 GiB"));
  EXPECT_THAT(*refusal, HasSubstr("precision int8 (13.3 GiB)"));
  EXPECT_THAT(*refusal, HasSubstr("kv_tokens_max: 11"));
}

TEST(Fits, OnlyAGpuIsOffered4Bits) {
  config::LocalTarget target;
  target.precision = "int8";
  const MemoryNeed need = ten_billion(1.0);
  const std::int64_t bytes = need.bytes() - 1;
  EXPECT_THAT(*does_not_fit(target, need, bytes), Not(HasSubstr("int4")));
  target.executor = "cuda";
  EXPECT_THAT(*does_not_fit(target, need, bytes), HasSubstr("precision int4 (8.8 GiB)"));
}

TEST(Fits, AutoIsWhatTheExecutorDoes) {
  config::LocalTarget target;
  EXPECT_THAT(*does_not_fit(target, ten_billion(1.0), kGiB), HasSubstr("of weights as int8"));
  target.executor = "cuda";
  EXPECT_THAT(*does_not_fit(target, ten_billion(2.0), kGiB), HasSubstr("of weights as bf16"));
  MemoryNeed four_bits = ten_billion(0.52);
  four_bits.keeps_int4 = true;
  EXPECT_THAT(*does_not_fit(target, four_bits, kGiB), HasSubstr("of weights as int4"));
}

// On several GPUs, and of mixtures, they are made bf16: nothing is put into four bits twice.
TEST(Fits, FourBitsOfAFolderAreKeptOfADenseModelOnOneGpu) {
  const auto need_of = [](int experts, int gpus) {
    const loader::FourBitFolder folder("gptq", 64, 5, experts);
    config::LocalTarget target;
    target.executor = "cuda";
    target.model_path = folder.path();
    target.tensor_parallel = gpus;
    const auto need = memory_need(target);
    EXPECT_TRUE(need) << (need ? "" : need.error().message);
    return need ? *need : MemoryNeed();
  };
  EXPECT_TRUE(need_of(0, 1).keeps_int4);
  EXPECT_FALSE(need_of(0, 2).keeps_int4);
  const MemoryNeed mixture = need_of(16, 1);
  EXPECT_FALSE(mixture.keeps_int4);
  EXPECT_EQ(mixture.weight_bytes, 2 * mixture.parameters);
}

// Embedding and norms, in bf16; the cache is shared.
TEST(Fits, WhatEachGpuHasOfItsOwnIsCounted) {
  using Folder = loader::FourBitFolder;
  const Folder folder("gptq", 128, 1);
  config::LocalTarget target;
  target.executor = "cuda";
  target.precision = "bf16";
  target.model_path = folder.path();
  const auto one = memory_need(target);
  ASSERT_TRUE(one) << one.error().message;
  target.tensor_parallel = 2;
  const auto two = memory_need(target);
  ASSERT_TRUE(two);
  const std::int64_t repeated =
      2 * Folder::kWidth * (Folder::kVocabulary + 2 * Folder::kLayers + 1);
  EXPECT_EQ(one->repeated_bytes, 0);
  EXPECT_EQ(two->repeated_bytes, repeated);
  EXPECT_EQ(two->weight_bytes, one->weight_bytes + repeated);
  EXPECT_EQ(two->kv_token_bytes, one->kv_token_bytes);
  target.tensor_parallel = 2 * Folder::kWidth / 128;
  const auto more = memory_need(target);
  ASSERT_TRUE(more);
  EXPECT_EQ(more->kv_token_bytes, 2 * one->kv_token_bytes) << "each key head is kept by two";
}

// Every GPU has the whole row of a token.
TEST(Fits, LatentRowsAreKeptByEachGpu) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("verbs_fits_test-" + std::to_string(::getpid()) + ".gguf");
  config::LocalTarget target;
  target.executor = "cuda";
  target.model_path = local::TinyDeepseek().write(path);
  const auto one = memory_need(target);
  ASSERT_TRUE(one) << one.error().message;
  target.tensor_parallel = 4;
  const auto four = memory_need(target);
  std::filesystem::remove(path);
  ASSERT_TRUE(four);
  EXPECT_EQ(four->kv_token_bytes, 4 * one->kv_token_bytes);
}

TEST(Fits, NothingButASmallerModelWhereWeightsAloneAreTooMuch) {
  config::LocalTarget target;
  target.precision = "int8";
  const auto refusal = does_not_fit(target, ten_billion(1.0), 8 * kGiB);
  ASSERT_TRUE(refusal);
  EXPECT_THAT(*refusal, HasSubstr("What would: a model of at most 4294 M parameters"));
}

TEST(Fits, TheMachineHasMemory) { EXPECT_GT(machine_memory(), 64LL << 20); }

}  // namespace
}  // namespace spillway::verbs
