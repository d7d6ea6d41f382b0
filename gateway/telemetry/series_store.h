// Holds the counted series and writes the exposition page: the one place that knows prometheus-cpp.
//
// `record` may be called from any thread at any time; a series seen before costs a lock-free
// look-up and one update. `page` may be called from any thread. The number of exported lines is
// bounded: past `series_max` a sample goes to its family's one series with `_other` in every label.
#pragma once

#include "gateway/telemetry/catalogue.h"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace spillway::telemetry {

// A series' label values, in the order of its row's labels; the rest stays kNothing.
using LabelKey = std::array<Word, kLabelsMax>;

// A histogram as it stands: `cumulative[i]` counts values ≤ bounds[i], the last one counts all.
struct Distribution {
  std::vector<double> bounds;
  std::vector<std::uint64_t> cumulative;
  double sum = 0.0;
};

// A value asked for at scrape time.
struct LiveSample {
  Series series;
  std::vector<std::string> labels;  // Values, in the order of the row's labels.
  double value = 0.0;
  Distribution distribution;  // Of a histogram, instead of `value`.
};

class SeriesStore {
 public:
  explicit SeriesStore(std::size_t series_max);
  ~SeriesStore();
  SeriesStore(const SeriesStore&) = delete;
  SeriesStore& operator=(const SeriesStore&) = delete;

  // Adds `value` to a counter or puts it into a histogram. `words` gives a new series its label
  // values. False if the sample was folded because of `series_max`.
  bool record(Series series, const LabelKey& key, double value, const Vocabulary& words);

  // The text page (version 0.0.4) of `live` and, if asked for, of everything recorded.
  std::string page(const std::vector<LiveSample>& live, bool with_recorded) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway::telemetry
