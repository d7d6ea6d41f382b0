#include "gateway/responses/last_turn.h"

#include "gateway/responses/stored.h"

#include <utility>

namespace spillway::responses {

void LastTurn::ended(const Kept& turn) {
  id_ = turn.id;
  turns_ = std::exchange(before_, {});
  over();
  turns_.push_back(turn.input);
  turns_.push_back(output_of(turn.body));
  leave_.reset();
  auto leave = limits_.remember(turn.tenant, bytes_of(turns_));
  if (leave) {
    leave_ = std::move(*leave);
  } else {
    id_.clear();
    turns_ = {};
  }
}

void LastTurn::over() {
  before_ = {};
  before_leave_.reset();
}

Async<Archive::Past> LastTurn::past(std::string tenant, From from) {
  over();
  const bool remembered = !from.previous.empty() && from.previous == id_;
  From asked = from;
  if (remembered) asked.previous.clear();
  auto past = co_await collected(tenant, std::move(asked));
  if (!past) co_return past;
  if (remembered) past->turns = turns_;
  const auto admitted = admit(tenant, from, *past);
  if (!admitted) co_return admitted.error();
  before_ = past->turns;
  before_leave_ = past->leave;
  co_return past;
}

}  // namespace spillway::responses
