#include "gateway/waiting.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <optional>
#include <pthread.h>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

constexpr std::chrono::milliseconds kLookEvery{5};

Error client_has_left() { return {Errc::cancelled, "the client has left", "", std::nullopt}; }

}  // namespace

// One who waits. The timer never runs out; it is how the coroutine is woken, on its own executor.
struct WaitingRoom::Place {
  explicit Place(net::any_io_executor executor)
      : bell(std::move(executor), net::steady_timer::time_point::max()) {}

  std::uint64_t id = 0;
  net::steady_timer bell;
  std::optional<policy::Turn> turn;  // Guarded by the room's mutex.
};

// Who leaves before being called gives up the place.
class WaitingRoom::Stay {
 public:
  Stay(WaitingRoom& room, std::shared_ptr<Place> place) : room_(room), place_(std::move(place)) {}
  Stay(const Stay&) = delete;
  ~Stay() {
    std::lock_guard lock(room_.mutex_);
    if (place_->turn) return;
    room_.held_.drop(place_->id);
    room_.places_.erase(place_->id);
  }

  std::optional<policy::Turn> turn() const {
    std::lock_guard lock(room_.mutex_);
    return place_->turn;
  }

 private:
  WaitingRoom& room_;
  const std::shared_ptr<Place> place_;
};

WaitingRoom::WaitingRoom(Fleet& fleet) : fleet_(fleet), thread_([this] { run(); }) {}

WaitingRoom::~WaitingRoom() { stop(); }

void WaitingRoom::adopt(std::shared_ptr<const config::Settings> settings) {
  std::lock_guard lock(mutex_);
  held_.adopt(*settings);
  settings_ = std::move(settings);
}

void WaitingRoom::watch(LocalTarget& local) {
  std::lock_guard lock(mutex_);
  local_ = &local;
}

Async<policy::Turn> WaitingRoom::turn(const policy::Wait& wait) {
  auto executor = co_await net::this_coro::executor;
  const auto place = enter(wait, std::move(executor));
  if (!place) co_return policy::Turn::cloud;
  const Stay stay(*this, place);
  (void)co_await place->bell.async_wait(net::as_tuple(net::use_awaitable));
  if (const auto turn = stay.turn()) co_return *turn;
  co_return client_has_left();
}

Async<void> WaitingRoom::rest(std::chrono::milliseconds time) {
  auto executor = co_await net::this_coro::executor;
  net::steady_timer timer(executor, time);
  const auto [failed] = co_await timer.async_wait(net::as_tuple(net::use_awaitable));
  if (failed) co_return client_has_left();
  co_return Result<void>();
}

// Null if it cannot be held: no room, no engine, or the house is closing.
std::shared_ptr<WaitingRoom::Place> WaitingRoom::enter(const policy::Wait& wait,
                                                       net::any_io_executor executor) {
  std::lock_guard lock(mutex_);
  const bool full = places_.size() >= static_cast<std::size_t>(settings_->server.limits.held_max);
  if (stopped_ || local_ == nullptr || full) return nullptr;
  auto place = std::make_shared<Place>(std::move(executor));
  place->id = next_id_++;
  held_.hold(place->id, wait, local_->status(), SteadyClock::now());
  places_.emplace(place->id, place);
  changed_.notify_one();
  return place;
}

void WaitingRoom::foreground(int prompt_tokens, double completion_tokens,
                             const EngineStatus& engine) {
  const double seconds = policy::gpu_seconds(engine, prompt_tokens, completion_tokens);
  std::lock_guard lock(mutex_);
  held_.foreground(seconds, SteadyClock::now());
}

int WaitingRoom::size() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(places_.size());
}

double WaitingRoom::pressure() const {
  std::lock_guard lock(mutex_);
  return held_.pressure();
}

double WaitingRoom::gpu_second_worth() const {
  std::lock_guard lock(mutex_);
  return held_.gpu_second_worth();
}

void WaitingRoom::stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const auto& [id, place] : places_) ring(place, policy::Turn::cloud);
    places_.clear();
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void WaitingRoom::run() {
  pthread_setname_np(pthread_self(), "waiting");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || !places_.empty(); });
    if (stopped_) return;
    call_next();
    changed_.wait_for(lock, kLookEvery, [this] { return stopped_; });
  }
}

// Wakes all who must leave, but for the engine at most one: by the next look its state shows it.
void WaitingRoom::call_next() {
  const EngineStatus engine = local_->status();
  const TimePoint now = SteadyClock::now();
  if (held_.reckoning_due(now))
    held_.reckon(engine, policy::cloud_room(*settings_, fleet_.facts(&engine)), now);
  while (const auto released = held_.next(engine, now)) {
    const auto place = places_.find(released->id);
    ring(place->second, released->turn);
    places_.erase(place);
    if (released->turn == policy::Turn::local) return;
  }
}

// Requires: the mutex is held.
void WaitingRoom::ring(const std::shared_ptr<Place>& place, policy::Turn turn) {
  place->turn = turn;
  net::post(place->bell.get_executor(), [place] { place->bell.cancel(); });
}

}  // namespace spillway
