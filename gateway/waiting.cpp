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

}  // namespace

// One who waits. The timer never runs out; it is how the coroutine is woken, on its own executor.
struct WaitingRoom::Place {
  explicit Place(net::any_io_executor executor)
      : bell(std::move(executor), net::steady_timer::time_point::max()) {}

  std::uint64_t id = 0;
  net::steady_timer bell;
  std::optional<policy::Turn> turn;  // Guarded by the room's mutex.
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
  (void)co_await place->bell.async_wait(net::as_tuple(net::use_awaitable));
  std::lock_guard lock(mutex_);
  if (place->turn) co_return *place->turn;
  held_.drop(place->id);
  places_.erase(place->id);
  co_return Error{Errc::cancelled, "the client has left", "", std::nullopt};
}

// Null once nobody is held any more.
std::shared_ptr<WaitingRoom::Place> WaitingRoom::enter(const policy::Wait& wait,
                                                       net::any_io_executor executor) {
  std::lock_guard lock(mutex_);
  if (stopped_ || local_ == nullptr) return nullptr;
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

// Wakes at most one a look: by the next look the engine's state shows it.
void WaitingRoom::call_next() {
  const EngineStatus engine = local_->status();
  const TimePoint now = SteadyClock::now();
  if (held_.reckoning_due(now))
    held_.reckon(engine, policy::cloud_room(*settings_, fleet_.facts(&engine)), now);
  const auto released = held_.next(engine, now);
  if (!released) return;
  const auto place = places_.find(released->id);
  ring(place->second, released->turn);
  places_.erase(place);
}

// Requires: the mutex is held.
void WaitingRoom::ring(const std::shared_ptr<Place>& place, policy::Turn turn) {
  place->turn = turn;
  net::post(place->bell.get_executor(), [place] { place->bell.cancel(); });
}

}  // namespace spillway
