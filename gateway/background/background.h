// A thread for work that no connection waits for: its coroutines run there one at a time, like
// those of a connection on its worker.
//
// `start` and `post` may be called from any thread, until stop().
#pragma once

#include "backends/contract/deadline.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace spillway {

class Background {
 public:
  explicit Background(std::string name);
  ~Background();  // stop()s.
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  boost::asio::any_io_executor executor() { return io_.get_executor(); }

  // Runs `work`, then `ended`. What is emitted at `cancel`'s signal, on this thread, reaches it.
  void start(boost::asio::awaitable<void> work, std::function<void()> ended,
             boost::asio::cancellation_slot cancel = {});
  void post(std::function<void()> work);

  // Blocks until nothing runs, or until the deadline. True if idle.
  bool wait_idle(Deadline deadline);

  // Ends the thread; what still runs is destroyed where it waits.
  void stop();

 private:
  struct Finished;

  const std::string name_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::mutex mutex_;
  std::condition_variable idle_;
  int running_ = 0;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace spillway
