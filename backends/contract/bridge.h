// The only door between a producer thread (engine, cloud) and a request's coroutine: a bounded
// queue of Deltas.
//
// One producer thread pushes, one coroutine awaits `next` on its own single-threaded io_context.
// Pushing never blocks and never loses a Delta; when `full()` the producer pauses its source (cloud
// pauses the transfer, the engine parks the sequence) until `on_room` tells it to go on. `on_room`
// also runs once when the consumer leaves, on the consumer's thread: it must only wake the
// producer. Owned by both sides through shared_ptr.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/outlet.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace spillway {

class Bridge final : public Outlet, public std::enable_shared_from_this<Bridge> {
 public:
  static constexpr std::size_t kBytesMax = 16 << 20;

  // `capacity` is in Deltas; so many bytes of them fill it as well. `consumer` must be the executor
  // of the thread that will await `next`.
  Bridge(boost::asio::any_io_executor consumer, std::size_t capacity,
         std::function<void()> on_room);

  // Producer side; any thread, one at a time.
  void push(Delta delta) override;  // Ignored after finish, fail or abandon.
  void finish() override;  // No more Deltas; `next` returns nullopt once the queue is empty.
  void fail(Error error) override;  // As finish, but `next` returns this error.
  bool full() override;  // True asks for `on_room` once half of the queue has been taken.
  bool abandoned() const override;  // The consumer has gone: stop the work.
  void at_work(bool works) { at_work_.store(works, std::memory_order_relaxed); }
  void bytes_written(std::size_t bytes) { written_.store(bytes, std::memory_order_relaxed); }
  void rate_left(const RateLeft& left);

  // Consumer side; the executor's thread only.
  Async<std::optional<Delta>> next(Deadline deadline);
  Async<std::optional<Delta>> left();  // As TokenStream's.
  bool ready();                        // `next` would not wait.
  bool at_work() const { return at_work_.load(std::memory_order_relaxed); }
  std::size_t bytes_written() const { return written_.load(std::memory_order_relaxed); }
  RateLeft rate_left() const;
  void abandon();  // Idempotent.

 private:
  enum class State { open, finished, failed, abandoned };

  // Requires of these: the mutex is held.
  std::size_t waiting() const { return queue_.size() - taken_; }
  void put(Delta delta);
  Delta take();
  bool has_room() const;

  std::optional<Delta> take_one();
  void wake_consumer(std::unique_lock<std::mutex> lock);

  const boost::asio::any_io_executor consumer_;
  // Expires at the deadline; cancelled when something arrives. The consumer's thread alone touches
  // it, and takes it down in abandon(): the producer may let go of the bridge after the consumer's
  // io_context is gone.
  std::optional<boost::asio::steady_timer> arrival_;
  const std::size_t capacity_;
  const std::function<void()> on_room_;

  std::atomic<bool> at_work_ = false;
  std::atomic<std::size_t> written_ = 0;
  mutable std::mutex mutex_;
  // Emptied and filled again in the same memory: a Delta is large, and comes with each token.
  std::vector<Delta> queue_;
  std::size_t taken_ = 0;  // So many of them, from the front.
  std::size_t bytes_ = 0;  // Of those that wait.
  State state_ = State::open;
  Error error_;
  RateLeft rate_left_;
  bool consumer_waits_ = false;
  bool producer_paused_ = false;  // full() was answered with true since the last on_room.
  bool sends_more_ = false;       // It was, when the consumer had no use for more.
};

// A TokenStream over a Bridge: dropping it abandons the bridge.
std::unique_ptr<TokenStream> stream_over(std::shared_ptr<Bridge> bridge,
                                         std::shared_ptr<const ChatRequest> request);

}  // namespace spillway
