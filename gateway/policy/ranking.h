// Providers that can take a request, the best first. Those that are expected to meet the SLA come
// before those that are not; among the former the class's preference decides, among the latter who
// is least late.
#pragma once

#include "config/settings.h"
#include "gateway/policy/judge.h"
#include "gateway/policy/route.h"
#include "gateway/policy/short_list.h"

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
  // `place`: its position in the class's list, or in turns. The smallest comes first.
  void add(const Offer& offer, const Judged& judged, config::Prefer prefer, double place);

  // Number i comes before all others, whose order stays.
  void put_first(std::size_t i);

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const Contender& operator[](std::size_t i) const { return items_[i]; }
  const Contender& front() const { return items_.front(); }

 private:
  ShortList<Contender> items_;
};

}  // namespace spillway::policy
