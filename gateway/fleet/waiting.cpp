#include "gateway/fleet/waiting.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <pthread.h>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

constexpr std::chrono::milliseconds kLookEvery{5};
constexpr std::chrono::milliseconds kAskAgain{250};  // Where nobody can be held.

Error client_has_left() { return {Errc::cancelled, "the client has left", "", std::nullopt}; }

}  // namespace

// One who waits. The timer never runs out; it is how the coroutine is woken, on its own executor.
struct WaitingRoom::Place {
  explicit Place(net::any_io_executor executor)
      : bell(std::move(executor), net::steady_timer::time_point::max()) {}

  std::uint64_t id = 0;
  std::string tenant;
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
    room_.forget(*place_);
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
  if (!place && wait.again) co_return co_await rest();
  if (!place) co_return is_closed() ? policy::Turn::cloud : policy::Turn::no_room;
  const Stay stay(*this, place);
  (void)co_await place->bell.async_wait(net::as_tuple(net::use_awaitable));
  if (const auto turn = stay.turn()) co_return *turn;
  co_return client_has_left();
}

Async<policy::Turn> WaitingRoom::rest() {
  auto executor = co_await net::this_coro::executor;
  net::steady_timer timer(executor, kAskAgain);
  const auto [failed] = co_await timer.async_wait(net::as_tuple(net::use_awaitable));
  if (failed) co_return client_has_left();
  co_return policy::Turn::cloud;
}

// Null if it cannot be held: no room, no engine, or the house is closing.
std::shared_ptr<WaitingRoom::Place> WaitingRoom::enter(const policy::Wait& wait,
                                                       net::any_io_executor executor) {
  std::lock_guard lock(mutex_);
  if (stopped_ || local_ == nullptr) return nullptr;
  if (!wait.again && !make_room(wait.tenant)) return nullptr;
  auto place = std::make_shared<Place>(std::move(executor));
  place->id = next_id_++;
  place->tenant = wait.tenant;
  ++places_of_[place->tenant];
  held_.hold(place->id, wait, local_->status(), SteadyClock::now());
  places_.emplace(place->id, place);
  changed_.notify_one();
  return place;
}

bool WaitingRoom::is_closed() const {
  std::lock_guard lock(mutex_);
  return stopped_ || local_ == nullptr;
}

// Requires: the mutex is held, as for forget() and ring().
bool WaitingRoom::make_room(const std::string& tenant) {
  const auto most = static_cast<std::size_t>(settings_->server.limits.held_max);
  if (places_.size() < most) return true;
  const auto own = places_of_.find(tenant);
  const std::size_t has = own == places_of_.end() ? 0 : own->second;
  const std::size_t tenants = places_of_.size() + (has == 0 ? 1 : 0);
  const auto greatest = std::max_element(
      places_of_.begin(), places_of_.end(),
      [](const auto& one, const auto& other) { return one.second < other.second; });
  if (greatest == places_of_.end() || (has + 1) * tenants > most || greatest->second <= has + 1)
    return false;
  const auto last = std::find_if(places_.rbegin(), places_.rend(), [&](const auto& one) {
    return one.second->tenant == greatest->first;
  });
  const auto place = last->second;
  held_.drop(place->id);
  ring(place, policy::Turn::no_room);
  forget(*place);
  return true;
}

void WaitingRoom::forget(const Place& place) {
  const auto own = places_of_.find(place.tenant);
  if (--own->second == 0) places_of_.erase(own);
  places_.erase(place.id);
}

void WaitingRoom::foreground(int prompt_tokens, double completion_tokens,
                             const EngineStatus& engine) {
  const double seconds = policy::gpu_seconds(engine, prompt_tokens, completion_tokens);
  std::lock_guard lock(mutex_);
  held_.foreground(seconds, SteadyClock::now());
}

double WaitingRoom::pace(int prompt_tokens, double completion_tokens) const {
  std::lock_guard lock(mutex_);
  if (local_ == nullptr || stopped_) return 0.0;
  const EngineStatus engine = local_->status();
  const double steps = completion_tokens / std::max(1, engine.sequences_max);
  const double seconds =
      policy::gpu_seconds(engine, prompt_tokens, completion_tokens) + steps * engine.step.base;
  return seconds > 0.0 ? held_.supply(engine, SteadyClock::now()) / seconds : 0.0;
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
    places_of_.clear();
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
    const auto place = places_.find(released->id)->second;
    ring(place, released->turn);
    forget(*place);
    if (released->turn == policy::Turn::local) return;
  }
}

void WaitingRoom::ring(const std::shared_ptr<Place>& place, policy::Turn turn) {
  place->turn = turn;
  net::post(place->bell.get_executor(), [place] { place->bell.cancel(); });
}

}  // namespace spillway
