// The waiting room: where requests stand that may wait (policy::HeldWork), until the engine has
// room for them or it is time to send them to a provider.
//
// Thread-safe. A request waits in its own coroutine, on its own worker; the thread `waiting`, which
// sleeps while nobody is held, looks at the engine every few milliseconds and wakes whose turn it
// is. A client that leaves gives up its place at once.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/fleet/fleet.h"
#include "gateway/fleet/local_target.h"
#include "gateway/policy/held_work.h"

#include <boost/asio/any_io_executor.hpp>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace spillway {

class WaitingRoom {
 public:
  explicit WaitingRoom(Fleet& fleet);  // Which must outlive it.
  ~WaitingRoom();

  // The settings in force from now on.
  void adopt(std::shared_ptr<const config::Settings> settings);

  // The engine that may have room; until it is known nobody is held. It must live until stop().
  void watch(LocalTarget& local);

  // Waits for the request's turn; where it cannot be held that is the providers'. Of
  // limits.held_max each tenant that wants places has an equal share: when all are taken and it has
  // fewer, who came last of the tenant with the most makes room. Who comes again is always let in.
  // cancelled: its client has left.
  Async<policy::Turn> turn(const policy::Wait& wait);

  // The foreground gave the engine so much to do.
  void foreground(int prompt_tokens, double completion_tokens, const EngineStatus& engine);

  // Requests of that size a second that the engine would have time for, as busy as it is with what
  // somebody waits for; 0 without one.
  double pace(int prompt_tokens, double completion_tokens) const;

  // For gauges: how many are held, and policy::HeldWork::pressure.
  int size() const;
  double pressure() const;

  // See policy::HeldWork.
  double gpu_second_worth() const;

  // Everybody leaves for the providers, now and from now on; ends the thread.
  void stop();

 private:
  struct Place;
  class Stay;

  static Async<policy::Turn> rest();
  std::shared_ptr<Place> enter(const policy::Wait& wait, boost::asio::any_io_executor executor);
  bool is_closed() const;
  bool make_room(const std::string& tenant);
  void forget(const Place& place);
  static void ring(const std::shared_ptr<Place>& place, policy::Turn turn);
  void run();
  void call_next();

  Fleet& fleet_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const config::Settings> settings_;
  LocalTarget* local_ = nullptr;
  policy::HeldWork held_;
  std::map<std::uint64_t, std::shared_ptr<Place>> places_;  // In the order of their coming.
  std::map<std::string, std::size_t> places_of_;            // By tenant; none with none.
  std::uint64_t next_id_ = 1;
  bool stopped_ = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace spillway
