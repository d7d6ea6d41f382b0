// One provider as this room sees it, shared by its backend and its transfers.
//
// Immutable but for the count of requests under way (any thread) and the idle handles (cloud thread
// only).
#pragma once

#include "backends/cloud/dialects/dialect.h"
#include "backends/cloud/easy.h"
#include "backends/cloud/failure.h"
#include "config/settings.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::cloud {

struct Upstream {
  Teller teller;
  const Dialect* dialect = nullptr;  // Of all time.
  Manner manner;
  std::string ca_file;  // Empty: the system's certificates only.
  config::ProviderTimeouts timeouts;
  std::chrono::milliseconds ttft{};  // What its first token usually takes.
  double tokens_per_second = 0.0;
  int concurrency_max = 0;

  std::atomic<int> under_way{0};
  std::vector<std::unique_ptr<Easy>> idle;
};

// One of the places that concurrency_max allows; given back when it goes.
class Place {
 public:
  // nullopt if all are taken.
  static std::optional<Place> take(std::shared_ptr<Upstream> upstream) {
    if (upstream->under_way.fetch_add(1) < upstream->concurrency_max) {
      return Place(std::move(upstream));
    }
    upstream->under_way.fetch_sub(1);
    return std::nullopt;
  }

  ~Place() { give_back(); }
  Place(Place&&) noexcept = default;
  Place& operator=(Place&&) = delete;

  void give_back() {
    if (upstream_) upstream_->under_way.fetch_sub(1);
    upstream_.reset();
  }

 private:
  explicit Place(std::shared_ptr<Upstream> upstream) : upstream_(std::move(upstream)) {}

  std::shared_ptr<Upstream> upstream_;  // Empty once given back or moved from.
};

}  // namespace spillway::cloud
