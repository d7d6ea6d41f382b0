#include "gateway/account/purse.h"

#include "gateway/account/calendar.h"

#include <algorithm>
#include <array>

namespace spillway::account {
namespace {

struct Bound {
  Window window;
  std::optional<NanoUsd> limit;
  NanoUsd spent;
};

std::array<Bound, 2> bounds_of(const config::Budget& budget, const Purse::State& state) {
  return {{{Window::day, budget.day, state.day}, {Window::month, budget.month, state.month}}};
}

config::Budget part_of(const config::Budget& budget, double share) {
  const auto part = [share](const std::optional<NanoUsd>& limit) {
    return limit ? std::optional(static_cast<NanoUsd>(share * static_cast<double>(*limit)))
                 : std::nullopt;
  };
  config::Budget made;
  made.day = part(budget.day);
  made.month = part(budget.month);
  return made;
}

// What is granted is no more than there is, or nothing, and why.
void fit(Purse::Answer& answer, const std::array<Bound, 2>& bounds, NanoUsd least, NanoUsd held) {
  for (const Bound& bound : bounds) {
    if (!bound.limit) continue;
    const NanoUsd room = *bound.limit - bound.spent;
    answer.granted = std::min(answer.granted, std::max<NanoUsd>(0, room - held));
    if (answer.granted >= least) continue;
    answer.refusal = {bound.window, *bound.limit, bound.spent, held, room < least};
    answer.granted = 0;
    return;
  }
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

void Purse::Sum::turn_the_page(std::int64_t now) {
  if (!days.are_right(now))
    days.turn(state.day, {first_hour_of_day(now) * kMillisecondsPerHour, next_day(now), 0});
  if (!months.are_right(now))
    months.turn(state.month, {first_hour_of_month(now) * kMillisecondsPerHour, next_month(now), 0});
}

void Purse::Sum::correct(NanoUsd day, NanoUsd month) {
  state.day = std::max<NanoUsd>(0, state.day + day);
  state.month = std::max<NanoUsd>(0, state.month + month);
}

// Requires: the mutex is held.
Purse::Sum& Purse::of_class(std::string_view request_class, std::int64_t now) {
  auto known = classes_.find(request_class);
  if (known == classes_.end()) known = classes_.try_emplace(std::string(request_class)).first;
  known->second.turn_the_page(now);
  return known->second;
}

Purse::Answer Purse::put_aside(const config::Budget& budget, NanoUsd least, NanoUsd wanted,
                               std::int64_t now, const ClassShare& share) {
  const std::lock_guard lock(mutex_);
  all_.turn_the_page(now);
  Sum& of_class = this->of_class(share.request_class, now);
  Answer answer{wanted, std::nullopt};
  fit(answer, bounds_of(budget, all_.state), least, all_.state.held);
  if (share.max && !answer.refusal) {
    fit(answer, bounds_of(part_of(budget, *share.max), of_class.state), least, of_class.state.held);
    if (answer.refusal) answer.refusal->of_class = true;
  }
  all_.state.held += answer.granted;
  of_class.state.held += answer.granted;
  return answer;
}

void Purse::settle(const config::Budget& budget, NanoUsd aside, NanoUsd spent, std::int64_t now,
                   std::string_view request_class) {
  const std::lock_guard lock(mutex_);
  all_.turn_the_page(now);
  for (State* const state : {&all_.state, &of_class(request_class, now).state}) {
    state->held -= aside;
    state->day += spent;
    state->month += spent;
  }
  NanoUsd over = 0;
  for (const Bound& bound : bounds_of(budget, all_.state)) {
    if (bound.limit) over = std::max(over, std::min(spent, bound.spent - *bound.limit));
  }
  all_.state.overshoot += over;
}

void Purse::correct(NanoUsd day, NanoUsd month, std::int64_t now, std::string_view request_class) {
  const std::lock_guard lock(mutex_);
  all_.turn_the_page(now);
  all_.correct(day, month);
  of_class(request_class, now).correct(day, month);
}

std::optional<Window> Purse::nearly_spent(const config::Budget& budget, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  all_.turn_the_page(now);
  for (const Bound& bound : bounds_of(budget, all_.state)) {
    if (!bound.limit) continue;
    const auto gone = static_cast<double>(bound.spent + all_.state.held);
    if (gone >= budget.warn_at * static_cast<double>(*bound.limit)) return bound.window;
  }
  return std::nullopt;
}

double Purse::left(const config::Budget& budget, std::int64_t now) {
  const std::lock_guard lock(mutex_);
  all_.turn_the_page(now);
  double least = 1.0;
  for (const Bound& bound : bounds_of(budget, all_.state)) {
    if (!bound.limit) continue;
    const NanoUsd room = std::max<NanoUsd>(0, *bound.limit - bound.spent - all_.state.held);
    least = std::min(
        least, room == 0 ? 0.0 : static_cast<double>(room) / static_cast<double>(*bound.limit));
  }
  return least;
}

Purse::State Purse::state(std::int64_t now) {
  const std::lock_guard lock(mutex_);
  all_.turn_the_page(now);
  return all_.state;
}

}  // namespace spillway::account
