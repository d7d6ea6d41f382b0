// Whole decoders through the Executor door against double precision: prompts, chunks, decodes,
// batches and graphs.
#include "backends/local/cuda/cuda_executor.h"

#include "backends/local/kernels/kernels.h"
#include "backends/local/sample/logprobs.h"
#include "backends/local/sample/sampler.h"
#include "tests/gpu/decoder_reference.h"
#include "tests/gpu/small_decoder.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace local;
using local::cuda::CudaExecutorOptions;

// An executor and the reference with the same random weights.
struct Pair {
  explicit Pair(const std::string& kind, bool graphs = true, int skinny_rows_max = 4,
                bool kv_e4m3 = false, int sequences_max = 24, int kv_blocks = kBlocks)
      : shape(small_shape(kind)) {
    auto weights = DecoderWeights::allocate(shape);
    EXPECT_TRUE(weights);
    reference = std::make_unique<DecoderReference>(shape, **weights);
    CudaExecutorOptions options;
    options.kv_blocks = kv_blocks;
    options.sequences_max = sequences_max;
    options.step_tokens_max = 128;
    options.skinny_rows_max = skinny_rows_max;
    options.graphs = graphs;
    options.kv_e4m3 = kv_e4m3;
    auto made = make_cuda_executor(shape, options, std::move(*weights));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    executor = std::move(*made);
  }

  DecoderShape shape;
  std::unique_ptr<DecoderReference> reference;
  std::unique_ptr<Executor> executor;
};

class Architectures : public testing::TestWithParam<const char*> {};

// A prompt in chunks, then token by token: every row of logits is the reference's.
void expect_chunks_and_decodes(Pair pair, double tolerance, const char* what) {
  const local::Experts& experts = pair.shape.experts;
  const auto expect = experts.chosen < experts.count ? expect_most_rows : expect_rows;
  auto free = shuffled_blocks();
  Running sequence(1, 75, pair.shape.vocabulary, free);
  const auto expected = pair.reference->logits(sequence.all);
  std::vector<float> logits;
  for (const int tokens : {20, 17, 24, 2, 1, 1, 1, 1, 8}) {
    const Slice slice = sequence.next(tokens, tokens);
    const auto result = pair.executor->run(std::span(&slice, 1));
    ASSERT_TRUE(result) << result.error().message;
    logits.insert(logits.end(), result->logits.begin(), result->logits.end());
  }
  expect(logits, expected, pair.shape.vocabulary, what, tolerance);
}

TEST_P(Architectures, ChunksAndDecodesMatchTheReference) {
  for (const int skinny : {0, 16}) {
    expect_chunks_and_decodes(Pair(GetParam(), true, skinny), kLogitTolerance, GetParam());
  }
}

// The reference keeps keys and values in full.
TEST_P(Architectures, ChunksAndDecodesOverPagesOfE4m3AreNearTheReference) {
  for (const int skinny : {0, 16}) {
    expect_chunks_and_decodes(Pair(GetParam(), true, skinny, true), 8 * kLogitTolerance,
                              GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(All, Architectures,
                         testing::Values("llama", "qwen2", "qwen3", "smollm2", "mistral", "gemma2",
                                         "gemma3"));

// Queries of latent rows, what is mixed of them and every expert's answer are rounded once more.
constexpr double kLatentTolerance = 2 * kLogitTolerance;

class Mixtures : public testing::TestWithParam<const char*> {};

TEST_P(Mixtures, ChunksAndDecodesMatchTheReference) {
  for (const int skinny : {0, 8}) {
    expect_chunks_and_decodes(Pair(GetParam(), true, skinny), kLatentTolerance, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(All, Mixtures,
                         testing::Values("deepseek2", "deepseek2-all", "deepseek3", "qwen3moe",
                                         "qwen3moe-all"));

TEST(CudaExecutor, ExpertsGoWithPagesOfE4m3) {
  for (const int skinny : {0, 8}) {
    expect_chunks_and_decodes(Pair("qwen3moe-all", true, skinny, true), 8 * kLogitTolerance,
                              "qwen3moe-all");
  }
}

// Decodes, a fresh prompt and a prompt's second chunk in one step.
void expect_mixed_steps(const char* kind) {
  Pair pair(kind);
  auto free = shuffled_blocks();
  Running a(1, 40, 512, free), b(2, 50, 512, free), c(3, 60, 512, free), d(4, 9, 512, free);
  const Slice first[] = {a.next(30, 1), b.next(20, 0), d.next(8, 1)};
  ASSERT_TRUE(pair.executor->run(first));
  const Slice second[] = {a.next(1, 1), b.next(29, 1), d.next(1, 1), c.next(60, 1)};
  const auto result = pair.executor->run(second);
  ASSERT_TRUE(result) << result.error().message;
  std::vector<double> expected;
  for (const Running* sequence : {&a, &b, &d, &c}) {
    const std::vector<std::int32_t> seen(sequence->all.begin(),
                                         sequence->all.begin() + sequence->done);
    const auto logits = pair.reference->logits(seen);
    expected.insert(expected.end(), logits.end() - 512, logits.end());
  }
  expect_rows(result->logits, expected, 512, kind, kLatentTolerance);
}

TEST(CudaExecutor, MixedStepsMatchTheReference) {
  for (const char* kind : {"qwen2", "deepseek2-all", "qwen3moe-all", "gemma2", "gemma3"}) {
    expect_mixed_steps(kind);
  }
}

// The last row of logits that each sequence should have.
std::vector<double> last_rows(Pair& pair, const std::vector<Running>& sequences) {
  std::vector<double> rows;
  for (const Running& sequence : sequences) {
    const auto logits =
        pair.reference->logits({sequence.all.begin(), sequence.all.begin() + sequence.done});
    rows.insert(rows.end(), logits.end() - pair.shape.vocabulary, logits.end());
  }
  return rows;
}

// More than are divided over blocks: alone, and beside a prompt.
TEST(CudaExecutor, ManyDecodesOfLatentRowsMatchTheReference) {
  constexpr int kMany = 40;
  constexpr int kManyBlocks = 5 * kMany;
  constexpr const char* kKind = "deepseek2-all";
  Pair pair(kKind, true, 4, false, kMany + 1, kManyBlocks);
  auto free = shuffled_blocks(kManyBlocks);
  std::vector<Running> sequences;
  for (int i = 0; i < kMany; ++i) sequences.emplace_back(i + 1, random_int(8, 40), 512, free);
  for (Running& sequence : sequences) {
    const Slice prompt = sequence.next(static_cast<int>(sequence.all.size()) - 3, 0);
    ASSERT_TRUE(pair.executor->run(std::span(&prompt, 1)));
  }
  const auto step_with = [&](std::vector<Slice> slices) {
    std::vector<Slice> all;
    for (int i = 0; i < kMany; ++i) all.push_back(sequences[i].next(1, 1));
    all.insert(all.end(), slices.begin(), slices.end());
    const auto result = pair.executor->run(all);
    ASSERT_TRUE(result) << result.error().message;
    expect_rows(result->logits, last_rows(pair, sequences), 512, kKind, kLatentTolerance);
  };
  step_with({});
  sequences.emplace_back(kMany + 1, 60, 512, free);
  step_with({sequences.back().next(60, 1)});
}

// The same steps with and without graphs, bit for bit: all of them small enough for the skinny
// kernel, since products that were tuned may add up in another order.
void expect_graphs_equal_eager(const char* kind) {
  const auto seed = generator();
  std::vector<std::vector<float>> runs[2];
  for (const bool graphs : {false, true}) {
    generator() = seed;
    Pair pair(kind, graphs, spillway::kernels::kSkinnyTokensMax);
    auto free = shuffled_blocks();
    std::vector<Running> sequences;
    for (int i = 0; i < 8; ++i) sequences.emplace_back(i + 1, random_int(14, 30), 512, free);
    for (Running& sequence : sequences) {
      const Slice slice = sequence.next(random_int(3, 7), 0);
      ASSERT_TRUE(pair.executor->run(std::span(&slice, 1)));
    }
    for (const int count : {1, 3, 8, 8, 5}) {
      std::vector<Slice> slices;
      for (int i = 0; i < count; ++i) slices.push_back(sequences[i].next(1, 1));
      const auto result = pair.executor->run(slices);
      ASSERT_TRUE(result);
      runs[graphs].emplace_back(result->logits.begin(), result->logits.end());
    }
  }
  EXPECT_EQ(runs[0], runs[1]) << kind;
}

TEST(CudaExecutor, GraphsEqualEagerPasses) {
  for (const char* kind : {"qwen3", "deepseek2", "qwen3moe", "gemma2", "gemma3"}) {
    expect_graphs_equal_eager(kind);
  }
}

// How far below the `rank`-th largest logit (from 1) a token's is; at most rounding if it was
// rightly chosen.
double shortfall(std::vector<double> logits, int token, int rank) {
  const double chosen = logits[token];
  std::nth_element(logits.begin(), logits.begin() + rank - 1, logits.end(), std::greater<>());
  return logits[rank - 1] - chosen;
}

// Tokens drawn on the device feed the next step from there, while sequences join and leave.
TEST(CudaExecutor, DrawnTokensContinueOnTheDevice) {
  constexpr double kRounding = 0.2;
  Pair pair("llama");
  auto free = shuffled_blocks();
  std::vector<Running> sequences;
  std::vector<SequenceSampler> samplers;
  for (int i = 0; i < 6; ++i) {
    sequences.emplace_back(i + 1, 10 + i, 512, free);
    Sampling sampling;
    sampling.temperature = i % 2 == 0 ? 0.0 : 0.8;
    sampling.top_k = i % 2 == 0 ? 0 : 5;
    sampling.seed = 1000 + i;
    samplers.emplace_back(sampling, std::span<const std::int32_t>(), std::vector<std::int32_t>(),
                          7);
  }
  for (int step = 0; step < 14; ++step) {
    std::vector<Slice> slices;
    std::vector<Running*> present;
    for (int i = 0; i < 6; ++i) {
      if (step < i || (i == 1 && step % 4 == 3))
        continue;  // They come one by one; one pauses now and then.
      Running& s = sequences[i];
      slices.push_back(s.next(static_cast<int>(s.all.size()) - s.done, 1, &samplers[i]));
      present.push_back(&s);
    }
    const auto result = pair.executor->run(slices);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->sampled.size(), present.size());
    for (std::size_t i = 0; i < present.size(); ++i) present[i]->all.push_back(result->sampled[i]);
  }
  for (int i = 0; i < 6; ++i) {
    const auto logits = pair.reference->logits(sequences[i].all);
    for (std::size_t at = 10 + i; at < sequences[i].all.size(); ++at) {
      const auto row = logits.begin() + long(at - 1) * 512;
      EXPECT_LT(shortfall({row, row + 512}, sequences[i].all[at], i % 2 == 0 ? 1 : 5), kRounding)
          << "sequence " << i << " token " << at;
    }
  }
}

// What five sequences draw that join one by one. With `ahead`, each step is begun before the one
// before it is finished, and names tokens that the host has not seen.
std::vector<std::vector<std::int32_t>> drawn_by(Executor& executor, bool ahead, SequenceId first) {
  static constexpr std::int32_t kUnderWay[] = {kTokenUnderWay};
  auto free = shuffled_blocks();
  std::vector<Running> sequences;
  std::vector<SequenceSampler> samplers;
  for (int i = 0; i < 5; ++i) {
    sequences.emplace_back(first + i, 10 + i, 512, free);
    Sampling sampling;
    sampling.temperature = i % 2 == 0 ? 0.0 : 0.8;
    sampling.seed = 1000 + i;
    samplers.emplace_back(sampling, std::span<const std::int32_t>(), std::vector<std::int32_t>(),
                          7);
  }
  for (int step = 0; step < 14; ++step) {
    std::vector<Slice> slices;
    for (int i = 0; i <= std::min(step, 4); ++i) {
      Running& s = sequences[i];
      const bool unseen = s.done >= static_cast<int>(s.all.size());
      if (unseen) s.all.push_back(0);  // Stands for the token until it is seen.
      slices.push_back(s.next(static_cast<int>(s.all.size()) - s.done, 1, &samplers[i]));
      if (unseen) slices.back().tokens = kUnderWay;
    }
    const auto next = executor.begin(slices);
    EXPECT_TRUE(next && *next == NextStep::at_once);
    const auto take = [&](int of_step) {
      const auto result = executor.finish();
      ASSERT_TRUE(result);
      for (int i = 0; i <= std::min(of_step, 4); ++i) {
        const std::size_t at = 10 + i + static_cast<std::size_t>(of_step - i);
        if (sequences[i].all.size() == at) sequences[i].all.push_back(0);
        sequences[i].all[at] = result->sampled[i];
      }
    };
    if (!ahead) take(step);
    if (ahead && step > 0) take(step - 1);
    if (ahead && step == 13) take(step);
  }
  std::vector<std::vector<std::int32_t>> all;
  for (const Running& sequence : sequences) all.push_back(sequence.all);
  return all;
}

TEST(CudaExecutor, StepsBegunAheadDrawTheSameTokens) {
  Pair pair("llama");
  const auto seed = generator();
  const auto one_by_one = drawn_by(*pair.executor, false, 1);
  generator() = seed;
  EXPECT_EQ(drawn_by(*pair.executor, true, 101), one_by_one);
}

SequenceSampler sampler_of(std::optional<int> logprobs, double temperature = 0.0) {
  Sampling sampling;
  sampling.temperature = temperature;
  sampling.logprobs = logprobs;
  sampling.scores_prompt = logprobs.has_value();
  return SequenceSampler(sampling, std::span<const std::int32_t>(), {}, 7);
}

// The step again, for its logits: what it writes is there already.
std::vector<float> logits_of(Executor& executor, std::vector<Slice> slices) {
  for (Slice& slice : slices) slice.sampler = nullptr;
  const auto result = executor.run(slices);
  EXPECT_TRUE(result);
  return {result->logits.begin(), result->logits.end()};
}

// What the device scored of each row is what its logits say.
void expect_scores_of_logits(Executor& executor, const std::vector<Slice>& slices) {
  const auto result = executor.run(slices);
  ASSERT_TRUE(result) << result.error().message;
  const std::vector<std::int32_t> sampled(result->sampled.begin(), result->sampled.end());
  const std::vector<ScoredToken> scored(result->scored.begin(), result->scored.end());
  const auto logits = logits_of(executor, slices);
  ASSERT_EQ(scored.size(), logits.size() / 512);
  SamplerScratch scratch;
  std::size_t row = 0;
  for (const Slice& slice : slices) {
    for (std::size_t i = 0; i < std::size_t(slice.logits_rows); ++i, ++row) {
      const Sampling& asked = slice.sampler->sampling();
      const bool is_given = i < slice.behind.size();
      const auto likeliest = is_given ? likeliest_of_prompt(asked) : asked.logprobs;
      EXPECT_EQ(scored[row].logprob.has_value(), likeliest.has_value()) << row;
      if (!likeliest) continue;
      const std::int32_t token = is_given ? slice.behind[i] : sampled[row];
      const auto own = std::span(logits).subspan(row * 512, 512);
      const ScoredToken expected = score(own, token, *likeliest, scratch);
      EXPECT_EQ(scored[row].token, token) << row;
      EXPECT_NEAR(*scored[row].logprob, *expected.logprob, 1e-4) << row;
      EXPECT_EQ(scored[row].rank, expected.rank) << row;
      ASSERT_EQ(scored[row].likeliest.size(), expected.likeliest.size()) << row;
      for (std::size_t rank = 0; rank < expected.likeliest.size(); ++rank) {
        EXPECT_EQ(scored[row].likeliest[rank].token, expected.likeliest[rank].token) << row;
        EXPECT_NEAR(scored[row].likeliest[rank].logprob, expected.likeliest[rank].logprob, 1e-4);
      }
    }
  }
}

// Decodes that ask and that do not, prompts whose every token is scored: to the end, and to the
// middle, where nothing is drawn yet.
TEST(CudaExecutor, TokensAreScoredOnTheDevice) {
  const SequenceSampler silent = sampler_of(std::nullopt), own = sampler_of(0),
                        five = sampler_of(5, 0.8), all = sampler_of(20);
  for (const char* kind : {"llama", "qwen3moe"}) {
    SCOPED_TRACE(kind);
    Pair pair(kind);
    auto free = shuffled_blocks();
    Running a(1, 20, 512, free), b(2, 20, 512, free), c(3, 20, 512, free), d(4, 20, 512, free),
        e(5, 9, 512, free);
    const auto scored_chunk = [&](Running& of, int tokens, const SequenceSampler& sampler) {
      Slice slice = of.next(tokens, tokens, &sampler);
      const std::size_t known = std::min<std::size_t>(of.done + 1, of.all.size());
      slice.behind = std::span(of.all).first(known).subspan(of.done - tokens + 1);
      return slice;
    };
    expect_scores_of_logits(*pair.executor,
                            {a.next(10, 1, &own), b.next(10, 1, &silent), c.next(10, 1, &five),
                             scored_chunk(d, 12, all), scored_chunk(e, 9, five)});
    for (int step = 0; step < 3; ++step) {
      expect_scores_of_logits(*pair.executor,
                              {a.next(1, 1, &own), b.next(1, 1, &silent), c.next(1, 1, &five)});
    }
    expect_scores_of_logits(*pair.executor,
                            {a.next(1, 1, &own), c.next(1, 1, &all), scored_chunk(d, 1, five)});
    expect_scores_of_logits(*pair.executor, {b.next(1, 1, &silent), scored_chunk(d, 7, five)});
  }
}

// Nobody asked: nothing is scored. A bias is what only the host knows.
TEST(CudaExecutor, ScoresAreForThoseWhoAsk) {
  Pair pair("llama");
  auto free = shuffled_blocks();
  Running sequence(1, 8, 512, free);
  const SequenceSampler silent = sampler_of(std::nullopt);
  Slice slice = sequence.next(6, 1, &silent);
  auto result = pair.executor->run(std::span(&slice, 1));
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->scored.empty());
  EXPECT_EQ(result->sampled.size(), 1u);
  Sampling sampling;
  sampling.logprobs = 3;
  sampling.bias = {{7, 2.0f}};
  const SequenceSampler biased(sampling, sequence.all, {}, 7);
  slice = sequence.next(1, 1, &biased);
  result = pair.executor->run(std::span(&slice, 1));
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->scored.empty());
  EXPECT_TRUE(result->sampled.empty());
  EXPECT_EQ(result->logits.size(), 512u);
}

TEST(CudaExecutor, PenaltiesBringLogitsBack) {
  Pair pair("llama");
  auto free = shuffled_blocks();
  Running sequence(1, 6, 512, free);
  Sampling sampling;
  sampling.frequency_penalty = 0.5;
  const SequenceSampler sampler(sampling, sequence.all, {}, 7);
  const Slice slice = sequence.next(6, 1, &sampler);
  const auto result = pair.executor->run(std::span(&slice, 1));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->logits.size(), 512u);
  EXPECT_TRUE(result->sampled.empty());
}

}  // namespace
}  // namespace spillway::gpu_test
