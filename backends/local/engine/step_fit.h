// Learns what a step costs from the steps that were run, for StepModel (contract/status.h).
//
// Used by the engine thread. Recursive least squares in information form, solved for coefficients
// that are not negative. Errors count relative to the predicted length, so that short decode steps
// weigh as much as long prompt steps. Old steps fade out within tens of steps, so that the model
// follows a machine that slows down; steps with and without prompt tokens fade apart, so that a
// long run of decoding does not forget what a prompt token costs. A step that is far off (something
// else had the processor) counts less.
#pragma once

#include "backends/contract/status.h"

#include <array>
#include <cstddef>

namespace spillway::local {

class StepFit {
 public:
  explicit StepFit(StepModel prior);

  // A step of `seconds` with `sequences` decoding over `context_tokens` in sum, and
  // `prefill_tokens`.
  void observe(double sequences, double context_tokens, double prefill_tokens, double seconds);

  const StepModel& model() const { return model_; }

 private:
  static constexpr std::size_t kTerms = 4;
  using Vector = std::array<double, kTerms>;

  // Sums of w·x·xᵀ and w·x·y over remembered steps.
  struct Memory {
    std::array<Vector, kTerms> products{};
    Vector targets{};

    void fade(double factor);
    void add(const Vector& features, double seconds, double weight);
  };

  double weight_of(double predicted, double seconds) const;
  void solve();

  Memory prior_;  // A few imaginary steps at the prior's pace; never fade, hardly weigh.
  Memory decode_;
  Memory prefill_;
  Vector coefficients_{};  // In the scaled features.
  StepModel model_;
};

}  // namespace spillway::local
