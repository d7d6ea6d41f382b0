// How far the engine's real TTFT has been from its prediction of late. The factor makes an engine
// that is slower than its step model says move the spill point by itself; the error quantiles are
// for the metrics. Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"
#include "gateway/policy/quantiles.h"

namespace spillway::policy {

class Correction {
 public:
  // One request that the local engine served: `predicted` is Prediction::ttft (what was decided
  // on), `model` its ttft_by the step model as it is by then (what that has learnt meanwhile must
  // not be learnt twice), `observed` what it took; seconds.
  void observe(double predicted, double model, double observed, TimePoint now);

  // Observed ÷ predicted: an exponentially weighted mean of the logarithms, each clipped to 1/8..8.
  // Without news it falls back towards 1 with a half-life of 30 s, since an engine that gets no
  // requests cannot prove it has recovered.
  double factor(TimePoint now) const;

  // What was told as the bound for 95 of 100 was kept, or not.
  void judge_bound(bool kept);

  // Observed ÷ predicted stays below this for 95 of 100 answers, whatever their law: adaptive
  // conformal inference (Gibbs and Candès, 2021), which moves it by how often it was not kept.
  double bound() const;

  // Quantile q of |predicted − observed| ÷ observed over the last minutes; 0 before the first
  // observation.
  double relative_error(double q) const { return errors_.quantile(q); }

 private:
  double log_ratio_ = 0.0;
  TimePoint last_{};
  double seen_ = 0.0;  // Weight of the answers seen.
  double log_bound_ = 0.1;
  Quantiles errors_;
};

}  // namespace spillway::policy
