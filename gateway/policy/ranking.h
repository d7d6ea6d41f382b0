// Providers that can take a request, the best first. Those that are expected to meet the SLA come
// before those that are not; among the former the class's preference decides, among the latter who
// is least late. No allocation.
#pragma once

#include "config/settings.h"
#include "gateway/policy/judge.h"
#include "gateway/policy/route.h"

#include <array>
#include <cstddef>

namespace spillway::policy {

struct Contender {
  Offer offer;
  Judged judged;
  double first = 0.0;  // Smaller is better; `second` settles ties, then the order of arrival.
  double second = 0.0;
};

class Ranking {
 public:
  static constexpr std::size_t kMax = 20;

  // `place` is the provider's position in the class's list.
  void add(const Offer& offer, const Judged& judged, config::Prefer prefer, std::size_t place);

  // Number i comes before all others, whose order stays.
  void put_first(std::size_t i);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Contender& operator[](std::size_t i) const { return items_[i]; }
  const Contender& front() const { return items_[0]; }

 private:
  std::array<Contender, kMax> items_;
  std::size_t size_ = 0;
};

}  // namespace spillway::policy
