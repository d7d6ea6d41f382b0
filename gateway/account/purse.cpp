#include "gateway/account/purse.h"

#include "gateway/account/calendar.h"

#include <algorithm>

namespace spillway::account {
namespace {

struct Bound {
  Window window;
  std::optional<NanoUsd> limit;
  NanoUsd spent;
};

struct Bounds {
  Bound day, month;
};

Bounds bounds_of(const config::Budget& budget, const Purse::State& state) {
  return {{Window::day, budget.day, state.day}, {Window::month, budget.month, state.month}};
}

}  // namespace

std::string_view name_of(Window window) { return window == Window::day ? "day" : "month"; }

bool Purse::Pages::are_right(std::int64_t now) const {
  const bool is_earlier_than_known = now < open.begins && (before.ends == 0 || now < before.begins);
  return now < open.ends && (open.begins <= now || is_earlier_than_known);
}

void Purse::Pages::turn(NanoUsd& spent, const Page& to) {
  const Page left{open.begins, open.ends, spent};
  open = to.begins == before.begins ? before : to;
  before = left;
  spent = open.spent;
}

void Purse::turn_the_page(std::int64_t now) {
  if (!days_.are_right(now))
    days_.turn(state_.day, {first_hour_of_day(now) * kMillisecondsPerHour, next_day(now), 0});
  if (!months_.are_right(now)) {
    months_.turn(state_.month,
                 {first_hour_of_month(now) * kMillisecondsPerHour, next_month(now), 0});
  }
}

Purse::Answer Purse::put_aside(const config::Budget& budget, NanoUsd least, NanoUsd wanted,
                               std::int64_t now) {
  const std::lock_guard lock(mutex_);
  turn_the_page(now);
  Answer answer{wanted, std::nullopt};
  const Bounds bounds = bounds_of(budget, state_);
  for (const Bound& bound : {bounds.day, bounds.month}) {
    if (!bound.limit) continue;
    const NanoUsd room = *bound.limit - bound.spent;
    answer.granted = std::min(answer.granted, std::max<NanoUsd>(0, room - state_.held));
    if (answer.granted >= least) continue;
    answer.refusal = {bound.window, *bound.limit, bound.spent, state_.held, room < least};
    answer.granted = 0;
    return answer;
  }
  state_.held += answer.granted;
  return answer;
}

void Purse::settle(const config::Budget& budget, NanoUsd aside, NanoUsd spent, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  turn_the_page(now);
  state_.held -= aside;
  state_.day += spent;
  state_.month += spent;
  NanoUsd over = 0;
  const Bounds bounds = bounds_of(budget, state_);
  for (const Bound& bound : {bounds.day, bounds.month}) {
    if (bound.limit) over = std::max(over, std::min(spent, bound.spent - *bound.limit));
  }
  state_.overshoot += over;
}

void Purse::correct(NanoUsd day, NanoUsd month, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  turn_the_page(now);
  state_.day = std::max<NanoUsd>(0, state_.day + day);
  state_.month = std::max<NanoUsd>(0, state_.month + month);
}

std::optional<Window> Purse::nearly_spent(const config::Budget& budget, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  turn_the_page(now);
  const Bounds bounds = bounds_of(budget, state_);
  for (const Bound& bound : {bounds.day, bounds.month}) {
    if (!bound.limit) continue;
    const auto gone = static_cast<double>(bound.spent + state_.held);
    if (gone >= budget.warn_at * static_cast<double>(*bound.limit)) return bound.window;
  }
  return std::nullopt;
}

double Purse::left(const config::Budget& budget, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  turn_the_page(now);
  double least = 1.0;
  const Bounds bounds = bounds_of(budget, state_);
  for (const Bound& bound : {bounds.day, bounds.month}) {
    if (!bound.limit) continue;
    const NanoUsd room = std::max<NanoUsd>(0, *bound.limit - bound.spent - state_.held);
    least = std::min(
        least, room == 0 ? 0.0 : static_cast<double>(room) / static_cast<double>(*bound.limit));
  }
  return least;
}

Purse::State Purse::state(std::int64_t now) {
  const std::lock_guard lock(mutex_);
  turn_the_page(now);
  return state_;
}

}  // namespace spillway::account
