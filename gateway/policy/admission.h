// How many requests may be in the house at once. Thread-safe and lock-free; a Permit gives its
// place back when it is destroyed, whatever happened to the request. Admission must outlive its
// permits.
#pragma once

#include "backends/contract/error.h"

#include <atomic>
#include <utility>

namespace spillway::policy {

class Admission;

class Permit {
 public:
  Permit() = default;
  Permit(Permit&& other) noexcept : admission_(std::exchange(other.admission_, nullptr)) {}
  Permit& operator=(Permit&& other) noexcept;
  ~Permit();

 private:
  friend class Admission;
  explicit Permit(Admission& admission) : admission_(&admission) {}
  void release();

  Admission* admission_ = nullptr;
};

class Admission {
 public:
  explicit Admission(int in_flight_max) : max_(in_flight_max) {}

  // A place, or `overloaded` with a retry-after of one second when all are taken.
  Result<Permit> enter();

  void limit(int in_flight_max) { max_.store(in_flight_max, std::memory_order_relaxed); }
  // Three quarters of the places are taken: what can wait should.
  bool crowded() const { return 4LL * in_flight() >= 3LL * max_.load(std::memory_order_relaxed); }

  int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

 private:
  friend class Permit;

  std::atomic<int> max_;
  std::atomic<int> in_flight_{0};
};

}  // namespace spillway::policy
