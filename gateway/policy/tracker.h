// How fast a provider has been of late: TTFT quantiles and token rate with decay. It starts at what
// the catalogue says
// (`measured`), which real answers soon outweigh..
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

  // A stream ended: `tokens` after the first came within `seconds`. Streams of fewer than 8 tokens
  // tell nothing.
  void streamed(int tokens, double seconds);

  double ttft_p50() const { return p50_; }  // Seconds.
  double ttft_p90() const { return p90_; }
  double ttft_p99() const { return p99_; }
  double tokens_per_second() const { return tokens_per_second_; }

 private:
  Quantiles ttft_;
  double p50_ = 0.0, p90_ = 0.0,
         p99_ = 0.0;  // Kept ready: they are read far more often than they change.
  double tokens_per_second_;
};

}  // namespace spillway::policy
