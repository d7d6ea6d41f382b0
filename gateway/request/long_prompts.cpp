#include "gateway/request/long_prompts.h"

#include "backends/contract/tenant_turns.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <pthread.h>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

constexpr int kThreads = 2;

// Who reads a text of many megabytes may be short of memory.
Result<void> done(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const std::exception&) {
    return Error{Errc::internal, "the prompt could not be read"};
  }
}

Error stopped() { return {Errc::backend_unavailable, "the gateway is stopping"}; }

}  // namespace

LongPrompts::LongPrompts() {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { serve(); });
}

LongPrompts::~LongPrompts() { stop(); }

Async<void> LongPrompts::run(std::string tenant, std::function<void()> work) {
  const auto initiate = [this](auto handler, Order order) {
    const auto executor = net::get_associated_executor(handler);
    net::cancellation_slot slot = net::get_associated_cancellation_slot(handler);
    // A std::function copies what it holds; a handler cannot be copied.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    order.answer = [executor, slot, shared](const Result<void>& done) {
      net::post(executor, [slot, shared, done]() mutable {
        slot.clear();
        (*shared)(done);
      });
    };
    if (slot.is_connected())
      slot.assign([this, id = order.id](net::cancellation_type) { leave(id); });
    ask(std::move(order));
  };
  Order order{++last_id_, std::move(tenant), std::move(work), {}};
  return net::async_initiate<const net::use_awaitable_t<>, void(Result<void>)>(
      initiate, net::use_awaitable, std::move(order));
}

void LongPrompts::ask(Order order) {
  std::unique_lock lock(mutex_);
  if (!stopped_) orders_.push_back(std::move(order));
  const bool refused = stopped_;
  lock.unlock();
  if (refused) return order.answer(stopped());
  changed_.notify_one();
}

void LongPrompts::leave(std::uint64_t id) {
  std::unique_lock lock(mutex_);
  const auto waits = [id](const Order& order) { return order.id == id && !order.begun; };
  const auto order = std::ranges::find_if(orders_, waits);
  if (order == orders_.end()) return;
  std::list<Order> left;
  left.splice(left.end(), orders_, order);
  lock.unlock();
  left.front().answer(Error{Errc::cancelled, "the client left"});
}

void LongPrompts::stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  lock.unlock();
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  lock.lock();
  const std::list<Order> waiting = std::exchange(orders_, {});
  lock.unlock();
  for (const Order& order : waiting) order.answer(stopped());
}

void LongPrompts::serve() {
  pthread_setname_np(pthread_self(), "long-prompts");
  std::unique_lock lock(mutex_);
  while (true) {
    auto order = orders_.end();
    changed_.wait(lock,
                  [&] { return stopped_ || (order = next_in_turn(orders_)) != orders_.end(); });
    if (stopped_) return;
    order->begun = true;
    lock.unlock();
    order->answer(done(order->work));
    lock.lock();
    const std::string tenant = std::move(order->tenant);
    orders_.erase(order);
    let_others_first(orders_, tenant);
    changed_.notify_all();
  }
}

}  // namespace spillway
