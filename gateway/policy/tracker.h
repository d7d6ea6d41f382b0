// How fast a provider has been of late: TTFT quantiles and token rate with decay. It starts at what
// the catalogue says (`measured`), which real answers soon outweigh, and falls back to it without
// news: a provider that gets no requests cannot prove that it has recovered.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"
#include "gateway/policy/quantiles.h"

namespace spillway::policy {

class Tracker {
 public:
  Tracker(const config::Measured& measured, TimePoint now);

  // A first token came `seconds` after the request was sent.
  void first_token(double seconds, TimePoint now);

  // It was left while it was silent, after so many seconds: what it would have taken is longer.
  // Counts where that is long for it, so that who is never waited for does not look quick.
  void silent(double seconds, TimePoint now);

  // A stream ended: `tokens` after the first came within `seconds`. Streams of fewer than 8 tokens
  // tell nothing.
  void streamed(int tokens, double seconds);

  double ttft_p50(TimePoint now) const { return faded(now, &Quantile::p50); }  // Seconds.
  double ttft_p90(TimePoint now) const { return faded(now, &Quantile::p90); }
  double ttft_p95(TimePoint now) const { return faded(now, &Quantile::p95); }
  double ttft_p99(TimePoint now) const { return faded(now, &Quantile::p99); }
  double tokens_per_second() const { return tokens_per_second_; }

 private:
  struct Quantile {
    double p50 = 0.0, p90 = 0.0, p95 = 0.0, p99 = 0.0;
  };

  double faded(TimePoint now, double Quantile::* which) const;

  Quantiles ttft_;
  Quantile catalogue_;
  Quantile seen_;  // Kept ready: they are read far more often than they change.
  TimePoint news_{};
  double tokens_per_second_;
};

}  // namespace spillway::policy
