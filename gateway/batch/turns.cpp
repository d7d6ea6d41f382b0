#include "gateway/batch/turns.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace spillway::batch {
namespace net = boost::asio;

Turns::Place::Place(Place&& other) noexcept
    : turns_(std::exchange(other.turns_, nullptr)), tenant_(std::move(other.tenant_)) {}

Turns::Place& Turns::Place::operator=(Place&& other) noexcept {
  std::swap(turns_, other.turns_);
  std::swap(tenant_, other.tenant_);
  return *this;
}

Turns::Place::~Place() {
  if (turns_ != nullptr) turns_->give_back(tenant_);
}

// In the row from its construction until it is called or goes.
struct Turns::Waiter {
  Waiter(std::list<Waiter*>& waiters, const std::string& whose, net::any_io_executor executor,
         Deadline deadline)
      : row(waiters), tenant(whose), timer(std::move(executor), deadline) {
    row.push_back(this);
  }
  ~Waiter() { row.remove(this); }

  std::list<Waiter*>& row;
  const std::string& tenant;
  net::steady_timer timer;
  bool called = false;
};

net::awaitable<Turns::Place> Turns::take(std::string tenant, Deadline deadline) {
  if (free_ > 0 && waiters_.empty()) co_return place_for(tenant);
  const auto executor = co_await net::this_coro::executor;
  Waiter waiter(waiters_, tenant, executor, deadline);
  call_next();
  // Whoever is called was taken from the list, and has its place already.
  if (!waiter.called) co_await waiter.timer.async_wait(net::as_tuple(net::use_awaitable));
  if (waiter.called) co_return Place(*this, tenant);
  co_return Place();
}

void Turns::wake() {
  for (Waiter* waiter : waiters_) waiter->timer.cancel();
}

Turns::Place Turns::place_for(const std::string& tenant) {
  --free_;
  ++taken_;
  ++held_[tenant];
  return Place(*this, tenant);
}

void Turns::give_back(const std::string& tenant) {
  ++free_;
  --taken_;
  const auto held = held_.find(tenant);
  if (--held->second == 0) held_.erase(held);
  call_next();
}

void Turns::call_next() {
  while (free_ > 0 && !waiters_.empty()) {
    const auto next = std::min_element(
        waiters_.begin(), waiters_.end(),
        [this](Waiter* a, Waiter* b) { return places_of(a->tenant) < places_of(b->tenant); });
    Waiter& called = **next;
    waiters_.erase(next);
    --free_;
    ++taken_;
    ++held_[called.tenant];
    called.called = true;
    called.timer.cancel();
  }
}

int Turns::places_of(const std::string& tenant) const {
  const auto held = held_.find(tenant);
  return held == held_.end() ? 0 : held->second;
}

}  // namespace spillway::batch
