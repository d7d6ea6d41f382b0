#include "gateway/responses/last_turn.h"

#include "gateway/responses/stored.h"

#include <utility>

namespace spillway::responses {

void LastTurn::ended(const Kept& turn) {
  id_ = turn.id;
  turns_ = std::exchange(before_, {});
  turns_.push_back(turn.input);
  turns_.push_back(output_of(turn.body));
}

Async<Archive::Past> LastTurn::past(std::string tenant, std::string previous,
                                    std::vector<std::string> references) {
  const bool remembered = !previous.empty() && previous == id_;
  if (remembered && bytes() > past_bytes_max_)
    co_return conversation_too_large(previous, past_bytes_max_);
  if (remembered) previous.clear();
  auto past = co_await Archive::past(std::move(tenant), std::move(previous), std::move(references));
  if (!past) co_return past;
  if (remembered) past->turns = turns_;
  before_ = past->turns;
  co_return past;
}

std::size_t LastTurn::bytes() const {
  std::size_t bytes = 0;
  for (const std::string& list : turns_) bytes += list.size();
  return bytes;
}

}  // namespace spillway::responses
