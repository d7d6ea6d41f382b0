#include "backends/local/engine/step_fit.h"

#include <algorithm>
#include <cmath>

namespace spillway::local {

namespace {

constexpr double kFade = 0.92;           // About a dozen steps of each kind are remembered.
constexpr double kPriorWeight = 1e-3;    // Of one term of the prior, in steps.
constexpr double kOutlier = 0.4;         // A relative error past this counts in inverse proportion.
constexpr std::uint64_t kUnsettled = 3;  // First steps, which may be far from the prior.
constexpr int kSweeps = 60;  // Coordinate descent over four terms converges well before.

// Typical sizes of the terms, so that the normal equations are well conditioned.
constexpr std::array<double, 4> kScale{1.0, 4.0, 2'000.0, 128.0};

}  // namespace

StepFit::StepFit(StepModel prior) : model_(prior) {
  model_.steps_seen = 0;
  coefficients_ = {prior.base * kScale[0], prior.per_sequence * kScale[1],
                   prior.per_context_token * kScale[2], prior.per_prefill_token * kScale[3]};
  // Each term alone, as if measured once with a small weight relative to its own size.
  for (std::size_t term = 0; term < kTerms; ++term) {
    Vector alone{};
    alone[term] = 1.0;
    const double size = std::max(coefficients_[term], 1e-6);
    prior_.add(alone, coefficients_[term], kPriorWeight / (size * size));
  }
}

void StepFit::observe(double sequences, double context_tokens, double prefill_tokens,
                      double seconds) {
  if (seconds <= 0.0) return;
  const Vector features{1.0, sequences / kScale[1], context_tokens / kScale[2],
                        prefill_tokens / kScale[3]};
  const double predicted = model_.seconds(sequences, context_tokens, prefill_tokens);
  Memory& memory = prefill_tokens > 0.0 ? prefill_ : decode_;
  memory.fade(kFade);
  memory.add(features, seconds, weight_of(predicted, seconds));
  solve();
  ++model_.steps_seen;
}

double StepFit::weight_of(double predicted, double seconds) const {
  if (model_.steps_seen < kUnsettled) return 1.0 / (seconds * seconds);
  const double size = std::max(predicted, 1e-6);
  const double deviation = std::abs(seconds - predicted) / size;
  return (deviation > kOutlier ? kOutlier / deviation : 1.0) / (size * size);
}

void StepFit::solve() {
  // Minimises ½·cᵀAc − bᵀc for c ≥ 0, one coefficient at a time, from the last solution.
  std::array<Vector, kTerms> products{};
  Vector targets{};
  for (const Memory* memory : {&prior_, &decode_, &prefill_}) {
    for (std::size_t i = 0; i < kTerms; ++i) {
      targets[i] += memory->targets[i];
      for (std::size_t j = 0; j < kTerms; ++j) products[i][j] += memory->products[i][j];
    }
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (std::size_t i = 0; i < kTerms; ++i) {
      double rest = targets[i];
      for (std::size_t j = 0; j < kTerms; ++j) {
        if (j != i) rest -= products[i][j] * coefficients_[j];
      }
      coefficients_[i] = std::max(0.0, rest / products[i][i]);
    }
  }
  model_.base = coefficients_[0] / kScale[0];
  model_.per_sequence = coefficients_[1] / kScale[1];
  model_.per_context_token = coefficients_[2] / kScale[2];
  model_.per_prefill_token = coefficients_[3] / kScale[3];
}

void StepFit::Memory::fade(double factor) {
  for (Vector& row : products) {
    for (double& value : row) value *= factor;
  }
  for (double& value : targets) value *= factor;
}

void StepFit::Memory::add(const Vector& features, double seconds, double weight) {
  for (std::size_t i = 0; i < kTerms; ++i) {
    targets[i] += weight * features[i] * seconds;
    for (std::size_t j = 0; j < kTerms; ++j) products[i][j] += weight * features[i] * features[j];
  }
}

}  // namespace spillway::local
