#include "backends/local/engine/step_fit.h"

#include <gtest/gtest.h>

#include <random>

namespace spillway::local {
namespace {

const StepModel kPrior{0.008, 0.001, 1e-6, 1e-3, 0};

// A machine with a step time that the fit does not know, and some noise.
class Machine {
 public:
  Machine(StepModel truth, unsigned seed) : truth_(truth), random_(seed) {}

  void slow_down(double factor) { factor_ *= factor; }

  void decode(StepFit& fit, int steps) {
    for (int i = 0; i < steps; ++i) {
      const double sequences = 1 + static_cast<double>(random_() % 8);
      step(fit, sequences, sequences * (100 + static_cast<double>(random_() % 900)), 0);
    }
  }
  void prefill(StepFit& fit, int steps) {
    for (int i = 0; i < steps; ++i) {
      const auto sequences = static_cast<double>(random_() % 8);
      step(fit, sequences, sequences * 500, 64 + static_cast<double>(random_() % 192));
    }
  }
  double seconds(double sequences, double context, double prefill) const {
    return factor_ * truth_.seconds(sequences, context, prefill);
  }

 private:
  void step(StepFit& fit, double sequences, double context, double prefill) {
    std::normal_distribution<double> noise(1.0, 0.03);
    double measured = seconds(sequences, context, prefill) * noise(random_);
    if (random_() % 20 == 0) measured *= 4;  // Something else had the processor.
    fit.observe(sequences, context, prefill, measured);
  }

  const StepModel truth_;
  double factor_ = 1.0;
  std::mt19937 random_;
};

const StepModel kTruth{0.004, 0.003, 2.5e-6, 6e-4, 0};

void expect_knows(const StepFit& fit, const Machine& machine) {
  const double cases[][3] = {{1, 500, 0}, {8, 4'000, 0}, {4, 2'000, 256}, {0, 0, 128}};
  for (const auto& [sequences, context, prefill] : cases) {
    const double expected = machine.seconds(sequences, context, prefill);
    EXPECT_NEAR(fit.model().seconds(sequences, context, prefill) / expected, 1.0, 0.25)
        << sequences << " sequences, " << prefill << " prompt tokens";
  }
}

TEST(StepFit, BeginsWithThePrior) {
  const StepFit fit(kPrior);
  EXPECT_EQ(fit.model().steps_seen, 0u);
  EXPECT_DOUBLE_EQ(fit.model().seconds(2, 1'000, 100), kPrior.seconds(2, 1'000, 100));
}

TEST(StepFit, LearnsTheMachineWithinAFewSteps) {
  StepFit fit(kPrior);
  Machine machine(kTruth, 1);
  machine.prefill(fit, 10);
  machine.decode(fit, 30);
  expect_knows(fit, machine);
}

TEST(StepFit, FollowsAMachineThatSlowsDown) {
  StepFit fit(kPrior);
  Machine machine(kTruth, 2);
  machine.prefill(fit, 60);
  machine.decode(fit, 60);
  machine.slow_down(2.0);
  machine.prefill(fit, 40);
  machine.decode(fit, 40);
  expect_knows(fit, machine);
}

TEST(StepFit, LongDecodingDoesNotForgetWhatAPromptCosts) {
  StepFit fit(kPrior);
  Machine machine(kTruth, 3);
  machine.prefill(fit, 40);
  machine.decode(fit, 3'000);
  expect_knows(fit, machine);
}

TEST(StepFit, CoefficientsAreNeverNegative) {
  StepFit fit(kPrior);
  std::mt19937 random(4);
  for (int i = 0; i < 2'000; ++i) {
    fit.observe(static_cast<double>(random() % 9), static_cast<double>(random() % 5'000),
                static_cast<double>(random() % 257),
                1e-4 * static_cast<double>(1 + random() % 1'000));
    const StepModel& model = fit.model();
    ASSERT_GE(model.base, 0);
    ASSERT_GE(model.per_sequence, 0);
    ASSERT_GE(model.per_context_token, 0);
    ASSERT_GE(model.per_prefill_token, 0);
  }
}

}  // namespace
}  // namespace spillway::local
