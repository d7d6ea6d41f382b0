// Every number that Spillway exports, and the page that Prometheus reads.
//
// `count` is called once a request, by `account()`, from any worker: no locks on the way, about a
// microsecond. `text` and `vllm_text` are called from the admin listener. The rest is for the
// composition root. Label values come from closed sets; anything else is counted as `_other`, so
// that no traffic grows the number of series. Knows nothing of sockets or of requests in flight;
// owns nothing but its counters.
#pragma once

#include "gateway/request/receipt.h"
#include "gateway/telemetry/closed_sets.h"
#include "gateway/telemetry/live.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace spillway::telemetry {

class Metrics {
 public:
  // `version` is the program's, for the build info; `series_max` bounds the exported lines of the
  // counted series.
  Metrics(const ClosedSets& sets, std::string version, std::size_t series_max = 20'000);
  ~Metrics();

  // Who tells the live state at scrape time. Called on the thread that asks for the page.
  // Requires: set before the first page is asked for; callable as long as pages are.
  void watch(std::function<LiveState()> source);

  // A configuration was taken over: its names join the closed sets (none ever leaves them).
  void config_loaded(const ClosedSets& sets, std::string_view sha256);

  // Names that came up without one.
  void know(const ClosedSets& sets);

  // A configuration was refused, for what is wrong with it or by the guard; the one before it stays
  // in force.
  void config_refused();
  void config_guarded();

  // Everything worth counting about a finished request.
  void count(const Receipt& receipt);

  // The page in Prometheus's text format 0.0.4.
  std::string text() const;

  // The local engines under the names of vLLM's metrics, for pickers and dashboards that know only
  // those.
  std::string vllm_text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway::telemetry
