#include "gateway/telemetry/series_store.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <sstream>

namespace spillway::telemetry {
namespace {

// One known series. Immutable once published, so that readers need no lock.
struct Handle {
  LabelKey key;
  prometheus::Counter* counter;      // Either this
  prometheus::Histogram* histogram;  // or this.
  const Handle* next;
};

// Insert-only hash table: chains behind atomic heads. Writers hold the store's mutex.
class Handles {
 public:
  const Handle* find(const LabelKey& key) const {
    const Handle* at = heads_[place_of(key)].load(std::memory_order_acquire);
    while (at != nullptr && at->key != key) at = at->next;
    return at;
  }

  const Handle* insert(Handle handle) {
    std::atomic<const Handle*>& head = heads_[place_of(handle.key)];
    handle.next = head.load(std::memory_order_relaxed);
    const Handle* kept = &all_.emplace_back(handle);
    head.store(kept, std::memory_order_release);
    return kept;
  }

 private:
  static constexpr std::size_t kHeads = 256;

  static std::size_t place_of(const LabelKey& key) {
    std::uint64_t hash = 0;
    for (const Word word : key) hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
    return hash >> 56;
  }

  std::array<std::atomic<const Handle*>, kHeads> heads_{};
  std::deque<Handle> all_;
};

struct Family {
  const SeriesRow* row = nullptr;
  prometheus::Family<prometheus::Counter>* counters = nullptr;
  prometheus::Family<prometheus::Histogram>* histograms = nullptr;
  Handles handles;

  // A histogram also exports +Inf, sum and count.
  std::size_t lines_per_series() const { return histograms ? row->buckets.size() + 3 : 1; }
};

LabelKey all_other(const SeriesRow& row) {
  LabelKey key{};
  std::fill_n(key.begin(), row.labels.size(), kOther);
  return key;
}

prometheus::Labels label_texts(const SeriesRow& row, const LabelKey& key, const Vocabulary& words) {
  prometheus::Labels labels;
  for (std::size_t i = 0; i < row.labels.size(); ++i) {
    if (key[i] == kNothing) continue;
    labels.emplace(row.labels[i].name, words.text(row.labels[i].words, key[i]));
  }
  return labels;
}

prometheus::MetricType type_of(Kind kind) {
  switch (kind) {
    case Kind::counter: return prometheus::MetricType::Counter;
    case Kind::gauge: return prometheus::MetricType::Gauge;
    case Kind::histogram: return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram histogram_of(const Distribution& distribution) {
  prometheus::ClientMetric::Histogram histogram;
  histogram.sample_count = distribution.cumulative.empty() ? 0 : distribution.cumulative.back();
  histogram.sample_sum = distribution.sum;
  for (std::size_t i = 0; i < distribution.bounds.size(); ++i) {
    histogram.bucket.push_back({distribution.cumulative[i], distribution.bounds[i]});
  }
  histogram.bucket.push_back({histogram.sample_count, std::numeric_limits<double>::infinity()});
  return histogram;
}

prometheus::ClientMetric metric_of(const LiveSample& sample) {
  prometheus::ClientMetric metric;
  const SeriesRow& its_row = row(sample.series);
  for (std::size_t i = 0; i < its_row.labels.size(); ++i) {
    metric.label.push_back({std::string(its_row.labels[i].name), sample.labels.at(i)});
  }
  switch (its_row.kind) {
    case Kind::counter: metric.counter.value = sample.value; break;
    case Kind::gauge: metric.gauge.value = sample.value; break;
    case Kind::histogram: metric.histogram = histogram_of(sample.distribution); break;
  }
  return metric;
}

std::vector<prometheus::MetricFamily> families_of(const std::vector<LiveSample>& live) {
  std::map<Series, prometheus::MetricFamily> families;
  for (const LiveSample& sample : live) {
    const SeriesRow& its_row = row(sample.series);
    prometheus::MetricFamily& family = families[sample.series];
    family.name = its_row.name;
    family.help = its_row.help;
    family.type = type_of(its_row.kind);
    family.metric.push_back(metric_of(sample));
  }
  std::vector<prometheus::MetricFamily> list;
  for (auto& [series, family] : families) list.push_back(std::move(family));
  return list;
}

}  // namespace

struct SeriesStore::Impl {
  explicit Impl(std::size_t most) : series_max(most) {
    for (const SeriesRow& its_row : catalogue()) {
      if (its_row.source == Source::receipts) open(its_row);
    }
  }

  void open(const SeriesRow& its_row) {
    Family& family = families[static_cast<std::size_t>(its_row.id)];
    family.row = &its_row;
    const std::string name(its_row.name);
    const std::string help(its_row.help);
    if (its_row.kind == Kind::histogram) {
      family.histograms = &prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
      return;
    }
    family.counters = &prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }

  // The series of `key`, made if it is new; the family's `_other` series if there is no room for
  // it.
  const Handle* make(Family& family, const LabelKey& key, const Vocabulary& words) {
    const std::lock_guard lock(mutex);
    if (const Handle* made_meanwhile = family.handles.find(key)) return made_meanwhile;
    if (lines + family.lines_per_series() <= series_max) return add(family, key, words);

    const LabelKey folded = all_other(*family.row);
    const Handle* existing = family.handles.find(folded);
    return existing != nullptr ? existing : add(family, folded, words);
  }

  // REQUIRES: mutex is held.
  const Handle* add(Family& family, const LabelKey& key, const Vocabulary& words) {
    const prometheus::Labels labels = label_texts(*family.row, key, words);
    Handle handle{key, nullptr, nullptr, nullptr};
    if (family.histograms != nullptr) {
      const auto& bounds = family.row->buckets;
      handle.histogram = &family.histograms->Add(
          labels, prometheus::Histogram::BucketBoundaries(bounds.begin(), bounds.end()));
    } else {
      handle.counter = &family.counters->Add(labels);
    }
    lines += family.lines_per_series();
    return family.handles.insert(handle);
  }

  const std::size_t series_max;
  prometheus::Registry registry;
  std::array<Family, kSeriesCount> families;  // Used where the row's source is `receipts`.
  std::mutex mutex;                           // Held to add a series.
  std::size_t lines = 0;                      // Exported so far; guarded by mutex.
};

SeriesStore::SeriesStore(std::size_t series_max) : impl_(std::make_unique<Impl>(series_max)) {}
SeriesStore::~SeriesStore() = default;

bool SeriesStore::record(Series series, const LabelKey& key, double value,
                         const Vocabulary& words) {
  Family& family = impl_->families[static_cast<std::size_t>(series)];
  const Handle* handle = family.handles.find(key);
  if (handle == nullptr) handle = impl_->make(family, key, words);
  if (handle->histogram != nullptr) {
    handle->histogram->Observe(value);
  } else {
    handle->counter->Increment(value);
  }
  return handle->key == key;
}

std::string SeriesStore::page(const std::vector<LiveSample>& live, bool with_recorded) const {
  std::vector<prometheus::MetricFamily> families = families_of(live);
  if (with_recorded) {
    for (auto& family : impl_->registry.Collect()) families.push_back(std::move(family));
  }
  std::sort(families.begin(), families.end(),
            [](const auto& left, const auto& right) { return left.name < right.name; });
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace spillway::telemetry
