#include "gateway/responses/last_turn.h"

#include <utility>

namespace spillway::responses {

void LastTurn::ended(const Kept& turn) {
  id_ = turn.id;
  turns_ = std::exchange(before_, {});
  turns_.push_back(items_of(turn));
}

Async<Archive::Past> LastTurn::past(std::string tenant, std::string previous,
                                    std::vector<std::string> references) {
  const bool remembered = !previous.empty() && previous == id_;
  if (remembered) previous.clear();
  auto past = co_await Archive::past(std::move(tenant), std::move(previous), std::move(references));
  if (!past) co_return past;
  if (remembered) past->turns = turns_;
  before_ = past->turns;
  co_return past;
}

}  // namespace spillway::responses
