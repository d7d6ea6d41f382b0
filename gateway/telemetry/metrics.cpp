#include "gateway/telemetry/metrics.h"

#include "gateway/telemetry/count.h"
#include "gateway/telemetry/process.h"
#include "gateway/telemetry/words.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <utility>

namespace spillway::telemetry {
namespace {

constexpr std::size_t kShaDigits = 12;

double seconds_since_epoch() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

}  // namespace

struct Metrics::Impl {
  Impl(std::string program_version, std::size_t series_max)
      : version(std::move(program_version)), store(series_max) {
    vocabularies.push_back(std::make_unique<const Vocabulary>());
    words.store(vocabularies.back().get(), std::memory_order_release);
  }

  void extend(const ClosedSets& sets) {
    const std::lock_guard lock(mutex);
    auto next = std::make_unique<const Vocabulary>(*vocabularies.back(), sets);
    if (next->words_in_all() == vocabularies.back()->words_in_all()) return;
    vocabularies.push_back(std::move(next));
    words.store(vocabularies.back().get(), std::memory_order_release);
    start_at_zero(*vocabularies.back(), store);
  }

  std::vector<LiveSample> config_samples() {
    const std::lock_guard lock(mutex);
    std::vector<LiveSample> samples;
    samples.push_back({Series::config_reloads, {"ok"}, static_cast<double>(configs_loaded), {}});
    samples.push_back(
        {Series::config_reloads, {"refused"}, static_cast<double>(configs_refused), {}});
    samples.push_back(
        {Series::config_reloads, {"guarded"}, static_cast<double>(configs_guarded), {}});
    samples.push_back({Series::build_info, {version, compiler()}, 1.0, {}});
    if (sha.empty()) return samples;
    samples.push_back({Series::config_version, {sha}, 1.0, {}});
    samples.push_back({Series::config_last_success, {}, loaded_at, {}});
    return samples;
  }

  const std::string version;
  SeriesStore store;
  std::function<LiveState()> source;

  std::mutex mutex;  // Of everything below but `words`.
  // Every vocabulary that was ever in force: a worker may still count with one that was replaced.
  std::vector<std::unique_ptr<const Vocabulary>> vocabularies;
  std::atomic<const Vocabulary*> words{nullptr};
  std::string sha;
  double loaded_at = 0.0;
  std::uint64_t configs_loaded = 0;
  std::uint64_t configs_refused = 0;
  std::uint64_t configs_guarded = 0;
};

Metrics::Metrics(const ClosedSets& sets, std::string version, std::size_t series_max)
    : impl_(std::make_unique<Impl>(std::move(version), series_max)) {
  impl_->extend(sets);
}

Metrics::~Metrics() = default;

void Metrics::watch(std::function<LiveState()> source) { impl_->source = std::move(source); }

void Metrics::config_loaded(const ClosedSets& sets, std::string_view sha256) {
  impl_->extend(sets);
  const std::lock_guard lock(impl_->mutex);
  impl_->sha = sha256.substr(0, kShaDigits);
  impl_->loaded_at = seconds_since_epoch();
  ++impl_->configs_loaded;
}

void Metrics::know(const ClosedSets& sets) { impl_->extend(sets); }

void Metrics::config_refused() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->configs_refused;
}

void Metrics::config_guarded() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->configs_guarded;
}

void Metrics::count(const Receipt& receipt) {
  count_receipt(receipt, *impl_->words.load(std::memory_order_acquire), impl_->store);
}

std::string Metrics::text() const {
  std::vector<LiveSample> samples =
      impl_->source ? samples_of(impl_->source()) : std::vector<LiveSample>{};
  for (auto& sample : impl_->config_samples()) samples.push_back(std::move(sample));
  for (auto& sample : process_samples()) samples.push_back(std::move(sample));
  return impl_->store.page(samples, true);
}

std::string Metrics::vllm_text() const {
  if (!impl_->source) return {};
  return impl_->store.page(alias_samples_of(impl_->source()), false);
}

}  // namespace spillway::telemetry
