#include "gateway/request/race.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

// False if it was cancelled before, or is while it waits: a timer that has expired is not cancelled
// any more.
net::awaitable<bool> wait_until(TimePoint when) {
  const auto cancellation = co_await net::this_coro::cancellation_state;
  if (cancellation.cancelled() != net::cancellation_type::none) co_return false;
  const auto executor = co_await net::this_coro::executor;
  net::steady_timer timer(executor, when);
  const auto [error] = co_await timer.async_wait(net::as_tuple(net::use_awaitable));
  co_return !error && cancellation.cancelled() == net::cancellation_type::none;
}

Error was_left() { return {Errc::cancelled, "it was left", "", std::nullopt}; }

}  // namespace

net::awaitable<void> Race::run(TimePoint late,
                               const std::function<std::optional<Approach>()>& make_second) {
  using net::experimental::awaitable_operators::operator||;
  auto leading = lead();
  auto following = follow(late, make_second);
  co_await (std::move(leading) || std::move(following));
  // Each has an outcome, also where a bug threw it out of its way.
  if (!first_.outcome) first_.outcome.emplace(was_left());
  if (second_ && !second_->outcome) second_->outcome.emplace(was_left());
}

// The race is over when one of the two returns: who has failed waits for the other.
net::awaitable<void> Race::lead() {
  co_await net::this_coro::throw_if_cancelled(false);
  auto outcome = co_await dispatcher_.open(first_.approach, edition_);
  first_.outcome.emplace(std::move(outcome));
  const bool other_may = second_ && !second_->outcome;
  if (!first_.won() && other_may) co_await wait_until(TimePoint::max());
}

net::awaitable<void> Race::follow(TimePoint late,
                                  const std::function<std::optional<Approach>()>& make_second) {
  co_await net::this_coro::throw_if_cancelled(false);
  const bool is_late = co_await wait_until(late);
  if (!is_late || first_.outcome) co_return;
  auto approach = make_second();
  if (!approach) {
    co_await wait_until(TimePoint::max());
    co_return;
  }
  second_.emplace().approach = std::move(*approach);
  auto outcome = co_await dispatcher_.open(second_->approach, edition_);
  second_->outcome.emplace(std::move(outcome));
  if (!second_->won() && !first_.outcome) co_await wait_until(TimePoint::max());
}

}  // namespace spillway
