// A thread for what waits for the disk, so that no connection's worker does.
//
// Any thread may ask; the work is done one after the other, and may use what belongs to this thread
// (a Database, files) without locks. Tenants take turns: what each asks for is done in its order,
// and who asks for much waits behind itself. Nothing that takes more than a few tens of
// milliseconds: who has more to do asks again, and others come between.
//
// Cancel: work that was asked for is done, whoever still waits for it.
#pragma once

#include "backends/contract/backend.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

namespace spillway::store {

class DiskThread {
 public:
  explicit DiskThread(std::string name);
  ~DiskThread();  // stop()s.
  DiskThread(const DiskThread&) = delete;
  DiskThread& operator=(const DiskThread&) = delete;

  // Does `work` there, when it is the turn of the tenant `whose` (empty: of no tenant); the asking
  // coroutine goes on with what it returned, or with Errc::internal where it threw.
  template <class T>
  Async<T> run(std::function<Result<T>()> work, std::string whose = {});

  // The same for a client: of what broke here it hears that it did, not what.
  template <class T>
  Async<T> run_for_client(std::function<Result<T>()> work, std::string whose);

  // The same for a client that makes room on the disk: where that is full, with what is kept aside.
  template <class T>
  Async<T> run_to_free(std::function<Result<T>()> work, std::string whose);

  // The same where nobody waits.
  void post(std::function<void()> work, const std::string& whose = {});

  // Does this in between, after every `interval`. Once, before anything is asked for.
  void repeat(std::chrono::milliseconds interval, std::function<void()> work);

  // `give_up` gives up what is kept aside for a full disk; false: there is nothing. Once, before
  // anything is asked for.
  void keep_aside(std::function<bool()> give_up) { give_up_ = std::move(give_up); }

  // Does what was asked for, then ends; what is asked for from now on is done by the asker.
  void stop();

 private:
  void serve();
  // What is stored may be damaged, so that whoever reads it throws.
  template <class T>
  static Result<T> done(const std::function<Result<T>()>& work);
  std::function<void()> next();
  std::function<void()> take_turn();

  const std::string name_;
  std::function<bool()> give_up_ = [] { return false; };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, std::deque<std::function<void()>>> asked_;  // By whose it is.
  std::deque<std::string> turns_;  // Who has asked; whose turn it is first.
  std::chrono::milliseconds interval_{0};
  std::function<void()> repeated_;  // Empty: nothing is to be repeated.
  std::chrono::steady_clock::time_point due_;
  bool stopped_ = false;
  std::thread thread_;  // Last: it uses all of the above.
};

template <class T>
Result<T> DiskThread::done(const std::function<Result<T>()>& work) {
  try {
    return work();
  } catch (const std::exception&) {
    return Error{Errc::internal, "what is stored cannot be read", "", std::nullopt};
  }
}

template <class T>
Async<T> DiskThread::run(std::function<Result<T>()> work, std::string whose) {
  namespace net = boost::asio;
  const auto initiate = [this](auto handler, std::function<Result<T>()> asked,
                               const std::string& tenant) {
    const auto executor = net::get_associated_executor(handler);
    // A std::function copies what it holds; a handler cannot be copied.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    auto do_and_tell = [executor, shared, asked = std::move(asked)] {
      auto result = std::make_shared<Result<T>>(done(asked));
      net::post(executor, [shared, result] { (*shared)(std::move(*result)); });
    };
    post(std::move(do_and_tell), tenant);
  };
  return net::async_initiate<const net::use_awaitable_t<>, void(Result<T>)>(
      initiate, net::use_awaitable, std::move(work), std::move(whose));
}

template <class T>
Async<T> DiskThread::run_for_client(std::function<Result<T>()> work, std::string whose) {
  auto done = co_await run(std::move(work), std::move(whose));
  if (done || done.error().code != Errc::internal) co_return done;
  co_return Error{Errc::internal, "What is stored cannot be reached at present.", "", std::nullopt};
}

template <class T>
Async<T> DiskThread::run_to_free(std::function<Result<T>()> work, std::string whose) {
  std::function<Result<T>()> insisting = [this, work = std::move(work)]() -> Result<T> {
    auto freed = work();
    const bool is_full = !freed && freed.error().code == Errc::overloaded;
    return is_full && give_up_() ? work() : freed;
  };
  co_return co_await run_for_client(std::move(insisting), std::move(whose));
}

}  // namespace spillway::store
