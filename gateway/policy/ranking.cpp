#include "gateway/policy/ranking.h"

#include <tuple>

namespace spillway::policy {
namespace {

bool better(const Contender& a, const Contender& b) {
  const bool a_late = a.judged.verdict != Verdict::fits;
  const bool b_late = b.judged.verdict != Verdict::fits;
  return std::tie(a_late, a.first, a.second) < std::tie(b_late, b.first, b.second);
}

void set_keys(Contender& contender, config::Prefer prefer, double place) {
  const Judged& judged = contender.judged;
  const double cost = static_cast<double>(judged.expected_cost);
  if (judged.verdict != Verdict::fits) {
    contender.first = judged.lateness;
    contender.second = cost;
    return;
  }
  switch (prefer) {
    case config::Prefer::cheapest:
      contender.first = cost;
      contender.second = judged.finish;
      return;
    case config::Prefer::fastest:
      contender.first = judged.finish;
      contender.second = cost;
      return;
    case config::Prefer::ordered:
    case config::Prefer::weighted: contender.first = place; return;
  }
}

}  // namespace

void Ranking::add(const Offer& offer, const Judged& judged, config::Prefer prefer, double place) {
  Contender contender{.offer = offer, .judged = judged};
  set_keys(contender, prefer, place);
  items_.push_back(contender);
  std::size_t at = items_.size() - 1;
  for (; at > 0 && better(contender, items_[at - 1]); --at) items_[at] = items_[at - 1];
  items_[at] = contender;
}

void Ranking::put_first(std::size_t i) {
  const Contender first = items_[i];
  for (; i > 0; --i) items_[i] = items_[i - 1];
  items_[0] = first;
}

}  // namespace spillway::policy
