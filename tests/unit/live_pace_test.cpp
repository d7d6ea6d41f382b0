// The pace of an engine that told of its steps several times.
#include "gateway/live/fitted_engine.h"

#include <gtest/gtest.h>

#include <vector>

namespace spillway::live {
namespace {

TEST(MeanPace, IsThatOfTheStepsSeconds) {
  simulate::ReferenceEngineParams quick;
  quick.sequences_max = 7;
  quick.step_base = 0.004;
  quick.step_per_sequence = 1e-5;
  quick.step_per_context_token = 2e-8;
  quick.prompt_tokens_per_second = 10'000.0;
  simulate::ReferenceEngineParams slow = quick;
  slow.step_base = 0.008;
  slow.step_per_sequence = 3e-5;
  slow.step_per_context_token = 4e-8;
  slow.prompt_tokens_per_second = 5'000.0;

  const auto mean = mean_pace(std::vector{quick, slow});
  EXPECT_EQ(mean.sequences_max, 7);
  EXPECT_DOUBLE_EQ(mean.step_base, 0.006);
  EXPECT_DOUBLE_EQ(mean.step_per_sequence, 2e-5);
  EXPECT_DOUBLE_EQ(mean.step_per_context_token, 3e-8);
  EXPECT_DOUBLE_EQ(mean.prompt_tokens_per_second, 1.0 / 0.00015);
}

}  // namespace
}  // namespace spillway::live
