// The model as it is built and served, against what transformers says about the same file. Without
// the file these tests fail.
#include "backends/local/kv/block_pool.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/model/load_executor.h"
#include "backends/local/sample/sampler.h"
#include "backends/local/sched/scheduler.h"
#include "backends/local/text.h"
#include "backends/local/text_model_codec.h"
#include "tests/golden/smollm2_oracle.h"

#include <gtest/gtest.h>

#include <iostream>
#include <map>

namespace spillway::local {
namespace {

constexpr int kBlocks = 256;
constexpr int kAnswerTokensMax = 64;

std::unique_ptr<Executor> load(const std::string& precision) {
  const auto file = loader::ModelFile::open(model_path());
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return nullptr;
  }
  // One thread: two of LibTorch's wait for each other by spinning, which a busy machine makes
  // endless.
  auto executor = load_executor(*file, {precision, 1, kBlocks});
  if (!executor) ADD_FAILURE() << executor.error().message;
  return executor ? std::move(*executor) : nullptr;
}

class Text final : public SequenceText {
 public:
  explicit Text(const std::vector<std::int32_t>& tokens) : tokens_(tokens) {}
  std::span<const std::int32_t> tokens() const override { return tokens_; }
  std::string_view owner() const override { return "golden"; }

 private:
  const std::vector<std::int32_t>& tokens_;
};

// All prompts at once, joining and leaving as the scheduler says. What `pool` has of them is not
// computed again.
std::vector<std::vector<std::int32_t>> generate(Executor& executor, const std::vector<Case>& cases,
                                                SchedulerLimits limits, BlockPool& pool) {
  Scheduler scheduler(limits, pool);
  std::vector<std::vector<std::int32_t>> tokens;
  for (const Case& one : cases) tokens.push_back(one.prompt);
  const std::vector<Text> texts(tokens.begin(), tokens.end());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    scheduler.add(i, static_cast<int>(tokens[i].size()), Lane::foreground, kAnswerTokensMax,
                  &texts[i]);
  }
  const auto vocabulary = static_cast<std::size_t>(executor.shape().vocabulary);
  for (auto plan = scheduler.plan(); !plan.empty(); plan = scheduler.plan()) {
    std::vector<Slice> slices;
    for (const ScheduledSlice& slice : plan) {
      const std::span<const std::int32_t> all(tokens[slice.sequence]);
      slices.push_back({slice.sequence,
                        all.subspan(static_cast<std::size_t>(slice.first_position),
                                    static_cast<std::size_t>(slice.tokens)),
                        slice.first_position, scheduler.blocks(slice.sequence),
                        slice.yields_token ? 1 : 0, nullptr});
    }
    const auto result = executor.run(slices);
    if (!result) {
      ADD_FAILURE() << result.error().message;
      return {};
    }
    scheduler.commit(plan);
    std::size_t row = 0;
    for (const ScheduledSlice& slice : plan) {
      if (!slice.yields_token) continue;
      auto& mine = tokens[slice.sequence];
      mine.push_back(argmax(result->logits.subspan(row++ * vocabulary, vocabulary)));
      const Case& one = cases[slice.sequence];
      if (mine.size() == one.prompt.size() + one.answer.size()) scheduler.remove(slice.sequence);
    }
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    tokens[i].erase(tokens[i].begin(), tokens[i].begin() + std::ssize(cases[i].prompt));
  }
  return tokens;
}

std::vector<std::vector<std::int32_t>> generate(Executor& executor, const std::vector<Case>& cases,
                                                SchedulerLimits limits) {
  BlockPool pool(kBlocks, kBlockTokens);
  return generate(executor, cases, limits, pool);
}

// As served, one after the other: made once.
const std::vector<std::vector<std::int32_t>>& answers_alone(Executor& executor) {
  static const auto answers = generate(executor, oracle(), {1, 512});
  return answers;
}

TEST(LocalModel, GreedyTokensInFp32AreThoseOfTransformers) {
  const auto cases = oracle();
  ASSERT_EQ(cases.size(), 20u);
  const auto executor = load("fp32");
  ASSERT_NE(executor, nullptr);
  const auto answers = generate(*executor, cases, {8, 96});
  ASSERT_EQ(answers.size(), cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    ASSERT_EQ(cases[i].answer.size(), 64u);
    EXPECT_EQ(answers[i], cases[i].answer) << "prompt " << i;
  }
}

TEST(LocalModel, ServedPrecisionAgreesWithTransformers) {
  const auto executor = load("int8");
  ASSERT_NE(executor, nullptr);
  const auto found = agreement(*executor, oracle());
  ASSERT_TRUE(found) << found.error().message;
  std::cout << "top-1 agreement: " << 100 * found->share << " %\n";
  EXPECT_GE(found->share, 0.99);
}

// Rows do not see one another in our kernels: not even the last bit depends on the company they
// keep.
TEST(LocalModel, BatchAndChunksMakeNoDifferenceAsServed) {
  const auto cases = oracle();
  const auto executor = load("int8");
  ASSERT_NE(executor, nullptr);
  const auto& alone = answers_alone(*executor);
  ASSERT_EQ(alone.size(), cases.size());
  for (const SchedulerLimits limits : {SchedulerLimits{8, 17}, {20, 96}}) {
    EXPECT_EQ(generate(*executor, cases, limits), alone) << limits.sequences_max << " sequences";
  }
}

// Whether a prompt is read, or found as it was read before; with room for all, and with so little
// that sequences lose their blocks and find some of them again.
TEST(LocalModel, ThePrefixCacheMakesNoDifferenceAsServed) {
  const auto cases = oracle();
  const auto executor = load("int8");
  ASSERT_NE(executor, nullptr);
  const auto& alone = answers_alone(*executor);
  ASSERT_EQ(alone.size(), cases.size());
  for (const int blocks : {kBlocks, 24}) {
    BlockPool pool(blocks, kBlockTokens);
    for (const char* round : {"read", "found"})
      EXPECT_EQ(generate(*executor, cases, {8, 96}, pool), alone) << blocks << " blocks, " << round;
    EXPECT_GT(pool.prefixes().cached_tokens("golden", cases.back().prompt), 0);
  }
}

TEST(LocalModel, PromptsAreThoseOfTransformers) {
  const auto file = loader::ModelFile::open(model_path());
  ASSERT_TRUE(file) << file.error().message;
  const auto codec = make_text_model_codec(*file);
  ASSERT_TRUE(codec) << codec.error().message;
  for (const Case& one : oracle()) {
    const auto ids =
        (*codec)->encode({{Role::user, one.user, "", true}}, nullptr, {}, TextModel::kAnyNumber);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, one.prompt) << one.user;
  }
}

TEST(LocalModel, SaysWhatIsWrongWithAPrecision) {
  const auto file = loader::ModelFile::open(model_path());
  ASSERT_TRUE(file) << file.error().message;
  const auto executor = load_executor(*file, {"fp3", 1, 16});
  ASSERT_FALSE(executor);
  EXPECT_NE(executor.error().message.find("fp3"), std::string::npos);
}

}  // namespace
}  // namespace spillway::local
