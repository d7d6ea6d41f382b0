#include "gateway/background/background.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <pthread.h>
#include <utility>

namespace spillway {
namespace net = boost::asio;

struct Background::Finished {
  Background* background;
  std::function<void()> ended;

  void operator()(std::exception_ptr) {
    ended();
    const std::lock_guard lock(background->mutex_);
    if (--background->running_ == 0) background->idle_.notify_all();
  }
};

Background::Background(std::string name)
    : name_(std::move(name)), work_(net::make_work_guard(io_)), thread_([this] {
        pthread_setname_np(pthread_self(), name_.c_str());
        io_.run();
      }) {}

Background::~Background() { stop(); }

void Background::start(net::awaitable<void> work, std::function<void()> ended,
                       net::cancellation_slot cancel) {
  {
    const std::lock_guard lock(mutex_);
    ++running_;
  }
  net::co_spawn(io_, std::move(work),
                net::bind_cancellation_slot(cancel, Finished{this, std::move(ended)}));
}

void Background::post(std::function<void()> work) { net::post(io_, std::move(work)); }

bool Background::wait_idle(Deadline deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return running_ == 0; });
}

void Background::stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace spillway
