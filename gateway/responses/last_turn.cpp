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

Async<Archive::Past> LastTurn::past(std::string tenant, From from) {
  const bool remembered = !from.previous.empty() && from.previous == id_;
  if (remembered && bytes() > past_bytes_max_)
    co_return conversation_too_large(from.previous, past_bytes_max_);
  if (remembered) from.previous.clear();
  auto past = co_await Archive::past(std::move(tenant), std::move(from));
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
