// Lets coroutines of one thread wait for each other: whoever waits goes on when it rings.
#pragma once

#include "backends/contract/deadline.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <list>
#include <utility>

namespace spillway {

class Bell {
 public:
  // Until it rings, or the deadline, or the coroutine is cancelled.
  boost::asio::awaitable<void> wait(Deadline deadline = Deadline::max()) {
    const auto executor = co_await boost::asio::this_coro::executor;
    Listener listener(listeners_, executor, deadline);
    co_await listener.timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }

  void ring() {
    for (Listener* listener : listeners_) listener->timer.cancel();
  }

 private:
  struct Listener {
    Listener(std::list<Listener*>& listeners, boost::asio::any_io_executor executor,
             Deadline deadline)
        : row(listeners), timer(std::move(executor), deadline) {
      row.push_back(this);
    }
    ~Listener() { row.remove(this); }

    std::list<Listener*>& row;
    boost::asio::steady_timer timer;
  };

  std::list<Listener*> listeners_;
};

}  // namespace spillway
