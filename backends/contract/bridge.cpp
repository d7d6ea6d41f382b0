#include "backends/contract/bridge.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

constexpr std::chrono::milliseconds kLeftWithin{100};  // What the producer kept back comes.

std::size_t bytes_of(const Delta& delta) {
  return delta.text.size() + delta.reasoning.size() + delta.extra.size() + delta.logprobs.size() +
         delta.object.size() + delta.original.size();
}

class BridgeStream final : public TokenStream {
 public:
  BridgeStream(std::shared_ptr<Bridge> bridge, std::shared_ptr<const ChatRequest> request)
      : bridge_(std::move(bridge)), request_(std::move(request)) {}
  ~BridgeStream() override { bridge_->abandon(); }
  BridgeStream(const BridgeStream&) = delete;
  BridgeStream& operator=(const BridgeStream&) = delete;

  Async<std::optional<Delta>> next(Deadline deadline) override { return bridge_->next(deadline); }
  Async<std::optional<Delta>> left() override { return bridge_->left(); }
  bool ready() override { return bridge_->ready(); }
  bool at_work() const override { return bridge_->at_work(); }
  std::size_t bytes_written() const override { return bridge_->bytes_written(); }
  RateLeft rate_left() const override { return bridge_->rate_left(); }

 private:
  std::shared_ptr<Bridge> bridge_;
  std::shared_ptr<const ChatRequest> request_;
};

}  // namespace

Bridge::Bridge(net::any_io_executor consumer, std::size_t capacity, std::function<void()> on_room)
    : consumer_(std::move(consumer)),
      arrival_(consumer_),
      capacity_(capacity),
      on_room_(std::move(on_room)) {}

void Bridge::push(Delta delta) {
  std::unique_lock lock(mutex_);
  if (state_ != State::open) return;
  put(std::move(delta));
  wake_consumer(std::move(lock));
}

void Bridge::rate_left(const RateLeft& left) {
  const std::lock_guard lock(mutex_);
  rate_left_ = left;
}

RateLeft Bridge::rate_left() const {
  const std::lock_guard lock(mutex_);
  return rate_left_;
}

void Bridge::finish() {
  std::unique_lock lock(mutex_);
  if (state_ != State::open) return;
  state_ = State::finished;
  wake_consumer(std::move(lock));
}

void Bridge::fail(Error error) {
  std::unique_lock lock(mutex_);
  if (state_ != State::open) return;
  state_ = State::failed;
  error_ = std::move(error);
  wake_consumer(std::move(lock));
}

bool Bridge::full() {
  std::lock_guard lock(mutex_);
  const bool is_full = waiting() >= capacity_ || bytes_ >= kBytesMax;
  if (!is_full || state_ != State::open) return false;
  producer_paused_ = true;
  return true;
}

bool Bridge::abandoned() const {
  std::lock_guard lock(mutex_);
  return state_ == State::abandoned;
}

Async<std::optional<Delta>> Bridge::next(Deadline deadline) {
  while (true) {
    if (auto delta = take_one()) co_return std::move(delta);
    std::unique_lock lock(mutex_);
    if (waiting() > 0) continue;
    if (state_ == State::failed) co_return error_;
    if (state_ != State::open) co_return std::optional<Delta>();
    if (SteadyClock::now() >= deadline) {
      co_return Error{Errc::deadline_exceeded, "no answer before the deadline", "", std::nullopt};
    }
    // A wake-up posted from now on runs on this thread, so only after the wait below has been
    // armed.
    consumer_waits_ = true;
    lock.unlock();
    arrival_->expires_at(deadline);
    co_await arrival_->async_wait(net::as_tuple(net::use_awaitable));
    const auto cancellation = co_await net::this_coro::cancellation_state;
    if (cancellation.cancelled() != net::cancellation_type::none) {
      co_return Error{Errc::cancelled, "the request was cancelled", "", std::nullopt};
    }
  }
}

// A wait that is cancelled has an end all the same: the client can leave but once.
Async<std::optional<Delta>> Bridge::left() {
  const Deadline until = SteadyClock::now() + kLeftWithin;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      sends_more_ |= producer_paused_;
    }
    if (auto delta = take_one()) co_return std::move(delta);
    std::unique_lock lock(mutex_);
    const bool may_come = sends_more_ && state_ == State::open && SteadyClock::now() < until;
    if (waiting() == 0 && !may_come) co_return std::optional<Delta>();
    if (waiting() > 0) continue;
    consumer_waits_ = true;
    lock.unlock();
    arrival_->expires_at(until);
    co_await arrival_->async_wait(net::as_tuple(net::use_awaitable));
  }
}

std::optional<Delta> Bridge::take_one() {
  std::unique_lock lock(mutex_);
  if (waiting() == 0) return std::nullopt;
  Delta delta = take();
  const bool resume = producer_paused_ && has_room();
  if (resume) producer_paused_ = false;
  lock.unlock();
  if (resume) on_room_();
  return delta;
}

bool Bridge::ready() {
  std::lock_guard lock(mutex_);
  return waiting() > 0 || state_ != State::open;
}

void Bridge::abandon() {
  std::unique_lock lock(mutex_);
  if (state_ == State::abandoned) return;
  const bool producer_works = state_ == State::open;
  state_ = State::abandoned;
  queue_.clear();
  taken_ = bytes_ = 0;
  lock.unlock();
  arrival_.reset();
  if (producer_works) on_room_();
}

bool Bridge::has_room() const { return waiting() <= capacity_ / 2 && bytes_ <= kBytesMax / 2; }

void Bridge::put(Delta delta) {
  bytes_ += bytes_of(delta);
  if (queue_.size() == queue_.capacity() && taken_ > queue_.size() / 2) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
  }
  queue_.push_back(std::move(delta));
}

Delta Bridge::take() {
  Delta delta = std::move(queue_[taken_]);
  bytes_ -= bytes_of(delta);
  if (++taken_ == queue_.size()) {
    queue_.clear();
    taken_ = 0;
  }
  return delta;
}

void Bridge::wake_consumer(std::unique_lock<std::mutex> lock) {
  if (!consumer_waits_) return;
  consumer_waits_ = false;
  lock.unlock();
  net::post(consumer_, [self = shared_from_this()] {
    if (self->arrival_) self->arrival_->cancel();
  });
}

std::unique_ptr<TokenStream> stream_over(std::shared_ptr<Bridge> bridge,
                                         std::shared_ptr<const ChatRequest> request) {
  return std::make_unique<BridgeStream>(std::move(bridge), std::move(request));
}

}  // namespace spillway
