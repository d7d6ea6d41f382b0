// Decoders of integer weights against the reference of those weights, and folders of four bits
// beside the same folders read as bf16.
#include "backends/local/cuda/load_cuda_executor.h"
#include "tests/gpu/integer_matrix.h"
#include "tests/gpu/packed_reference.h"
#include "tests/gpu/small_decoder.h"
#include "tests/unit/four_bit_folder.h"

#include <gtest/gtest.h>

#include <numeric>

namespace spillway::gpu_test {
namespace {

using namespace kernels;
using local::Precision;
using local::cuda::CudaExecutorOptions;

constexpr int kPackedRowsMax = 32;

CudaExecutorOptions options_for(Precision precision) {
  CudaExecutorOptions options;
  options.kv_blocks = kBlocks;
  options.sequences_max = 64;  // As many rows of logits.
  options.step_tokens_max = 128;
  options.precision = precision;
  options.packed_rows_max = kPackedRowsMax;
  return options;
}

// Few tokens, dozens, and more than are multiplied packed.
const std::vector<int> kSteps = {1, 7, 8, 9, 20, 32, 33, 38, 1, 1};

std::vector<std::vector<float>> logits_of(local::Executor& executor,
                                          const std::vector<std::int32_t>& tokens, int vocabulary,
                                          const std::vector<int>& counts = kSteps) {
  auto free = shuffled_blocks();
  Running sequence(1, static_cast<int>(tokens.size()), vocabulary, free);
  sequence.all = tokens;
  std::vector<std::vector<float>> steps;
  for (const int count : counts) {
    const Slice slice = sequence.next(count, count);
    const auto result = executor.run(std::span(&slice, 1));
    EXPECT_TRUE(result) << result.error().message;
    if (!result) break;
    steps.emplace_back(result->logits.begin(), result->logits.end());
  }
  return steps;
}

std::vector<std::int32_t> random_tokens(int vocabulary, const std::vector<int>& counts = kSteps) {
  std::vector<std::int32_t> tokens(std::accumulate(counts.begin(), counts.end(), 0));
  for (auto& token : tokens) token = random_int(0, vocabulary - 1);
  return tokens;
}

void expect_steps(const std::vector<std::vector<float>>& steps, const std::vector<double>& expected,
                  int vocabulary, const std::string& what, double tolerance) {
  std::size_t from = 0;
  for (const auto& step : steps) {
    expect_rows(step, std::span(expected).subspan(from, step.size()), vocabulary, what.c_str(),
                tolerance);
    from += step.size();
  }
  EXPECT_EQ(from, expected.size()) << what;
}

// Room for layers in a format, with any codes, scales and zero points; the rest as in `others`.
std::unique_ptr<DecoderWeights> with_zeros(const DecoderShape& shape, const DecoderWeights& others,
                                           WeightFormat format) {
  auto weights = DecoderWeights::allocate(shape, format);
  EXPECT_TRUE(weights);
  for (const auto& room : (*weights)->rooms()) {
    if (room.scales == nullptr) {
      const std::size_t bytes = room.elements * sizeof(Bf16);
      check(cudaMemcpy(room.data, others.find(room.name)->data, bytes, cudaMemcpyDeviceToDevice),
            "weights");
      continue;
    }
    const int rows = static_cast<int>(room.elements / room.columns);
    const auto matrix = HostMatrix::random(rows, room.columns, format);
    const auto bytes = matrix.bytes(), scales = matrix.scale_bytes();
    check(cudaMemcpy(room.data, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "codes");
    check(cudaMemcpy(room.scales, scales.data(), scales.size(), cudaMemcpyHostToDevice), "scales");
  }
  return std::move(*weights);
}

void expect_decoder(const char* kind, Precision precision, bool kv_e4m3) {
  const DecoderShape shape = small_shape(kind);
  auto weights = DecoderWeights::allocate(shape);
  ASSERT_TRUE(weights);
  DecoderReference reference(shape, **weights);
  const auto packed = (*weights)->packed(shape, precision);
  ASSERT_TRUE(packed);
  EXPECT_LT((*packed)->bytes(), (*weights)->bytes());
  take_packed(reference, **packed);
  auto options = options_for(precision);
  options.kv_e4m3 = kv_e4m3;
  auto executor = make_cuda_executor(shape, options, std::move(*weights));
  ASSERT_TRUE(executor) << executor.error().message;
  const auto tokens = random_tokens(shape.vocabulary);
  expect_steps(logits_of(**executor, tokens, shape.vocabulary), reference.logits(tokens),
               shape.vocabulary, kind, (kv_e4m3 ? 8 : 1.3) * kLogitTolerance);
}

TEST(IntegerDecoders, MatchTheReferenceOfTheirWeights) {
  for (const char* kind : {"llama", "qwen2", "qwen3", "gemma3"}) {
    for (const Precision precision : {Precision::int8, Precision::int4}) {
      expect_decoder(kind, precision, false);
    }
  }
  expect_decoder("qwen2", Precision::int4, true);
  expect_decoder("smollm2", Precision::int4, false);
}

void expect_decoder_with_zeros(const char* kind, WeightFormat format) {
  const DecoderShape shape = small_shape(kind);
  const auto plain = DecoderWeights::allocate(shape);
  ASSERT_TRUE(plain);
  DecoderReference reference(shape, **plain);
  auto weights = with_zeros(shape, **plain, format);
  EXPECT_LT(weights->bytes(), (*plain)->bytes());
  take_packed(reference, *weights);
  auto executor = make_cuda_executor(shape, options_for(Precision::int4), std::move(weights));
  ASSERT_TRUE(executor) << executor.error().message;
  const auto tokens = random_tokens(shape.vocabulary);
  expect_steps(logits_of(**executor, tokens, shape.vocabulary), reference.logits(tokens),
               shape.vocabulary, kind, 1.3 * kLogitTolerance);
}

TEST(IntegerDecoders, MatchTheReferenceOfAnyZeroPoints) {
  for (const char* kind : {"llama", "qwen2", "gemma3"}) {
    for (const WeightFormat format : {kInt4Zeros, kInt4Zeros64, kInt4Zeros32}) {
      expect_decoder_with_zeros(kind, format);
    }
  }
  expect_decoder_with_zeros("smollm2", kInt4Zeros);
}

// Behind prompts that no product of cuBLASLt has a part in, whose kernels are chosen by their time.
TEST(IntegerDecoders, GraphsEqualEagerBitForBit) {
  const std::vector<int> counts = {7, 20, 1, 1, 1};
  const DecoderShape shape = small_shape("llama");
  const auto plain = DecoderWeights::allocate(shape);
  ASSERT_TRUE(plain);
  const DecoderReference filled(shape, **plain);
  for (const WeightFormat format : {kInt4Zeros, kInt4Zeros32}) {
    const auto first = with_zeros(shape, **plain, format);
    const auto tokens = random_tokens(shape.vocabulary, counts);
    std::vector<std::vector<float>> decodes[2];
    for (const bool graphs : {false, true}) {
      auto same = DecoderWeights::allocate(shape, format);
      ASSERT_TRUE(same);
      check(cudaMemcpy((*same)->rooms().front().data, first->rooms().front().data, first->bytes(),
                       cudaMemcpyDeviceToDevice),
            "weights");
      auto options = options_for(Precision::int4);
      options.graphs = graphs;
      auto executor = make_cuda_executor(shape, options, std::move(*same));
      ASSERT_TRUE(executor) << executor.error().message;
      const auto steps = logits_of(**executor, tokens, shape.vocabulary, counts);
      decodes[graphs].assign(steps.begin() + 2, steps.end());
    }
    EXPECT_EQ(decodes[0], decodes[1]);
  }
}

TEST(IntegerDecoders, FoldersOfFourBitsSayWhatTheySayInBf16) {
  for (const char* method : {"awq", "gptq"}) {
    for (const int group : {32, 64, 128}) {
      const loader::FourBitFolder folder(method, group, generator()());
      const auto file = loader::ModelFile::open(folder.path());
      ASSERT_TRUE(file) << file.error().message;
      const auto tokens = random_tokens(loader::FourBitFolder::kVocabulary);
      std::vector<double> expected;
      for (const Precision precision : {Precision::bf16, Precision::int4}) {
        const auto executor =
            local::cuda::load_cuda_executor(*file, options_for(precision), /*context_max=*/256);
        ASSERT_TRUE(executor) << executor.error().message;
        const auto steps = logits_of(**executor, tokens, loader::FourBitFolder::kVocabulary);
        if (precision == Precision::int4) {
          expect_steps(steps, expected, loader::FourBitFolder::kVocabulary,
                       std::string(method) + " by " + std::to_string(group), 2 * kLogitTolerance);
          continue;
        }
        for (const auto& step : steps) expected.insert(expected.end(), step.begin(), step.end());
      }
    }
  }
}

// Packed row by row as they come from the file.
TEST(IntegerDecoders, FilesInFewerBitsSayNearlyWhatTheySayInBf16) {
  const loader::FourBitFolder folder("gptq", 32, generator()());
  const auto file = loader::ModelFile::open(folder.path());
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<int> counts = {8, 7, 1, 8, 1, 3};
  const auto tokens = random_tokens(loader::FourBitFolder::kVocabulary, counts);
  const auto steps_in = [&](Precision precision) {
    const auto executor =
        local::cuda::load_cuda_executor(*file, options_for(precision), /*context_max=*/256);
    EXPECT_TRUE(executor) << executor.error().message;
    return logits_of(**executor, tokens, loader::FourBitFolder::kVocabulary, counts);
  };
  std::vector<double> expected;
  for (const auto& step : steps_in(Precision::bf16)) {
    expected.insert(expected.end(), step.begin(), step.end());
  }
  for (const auto& [precision, tolerance] :
       {std::pair{Precision::int8, 0.1}, {Precision::fp8, 0.3}}) {
    expect_steps(steps_in(precision), expected, loader::FourBitFolder::kVocabulary,
                 std::string(name_of(precision)), tolerance);
  }
}

}  // namespace
}  // namespace spillway::gpu_test
