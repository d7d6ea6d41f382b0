// Who is next: so many places for all batches' lines together, of which tenants have equal shares.
//
// On one thread: that of the batches, whose coroutines wait here. A free place goes to the tenant
// that has the fewest, among these to who has waited longest. So a batch of ten thousand lines
// holds up another tenant's by no more than the lines that are running when it comes.
#pragma once

#include "backends/contract/deadline.h"

#include <boost/asio/awaitable.hpp>

#include <list>
#include <map>
#include <string>
#include <string_view>

namespace spillway::batch {

class Turns {
 public:
  explicit Turns(int places) : free_(places) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // A place, given back when it goes out of scope. Empty if none came by the deadline, or wake()
  // was called.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;
    ~Place();
    explicit operator bool() const { return turns_ != nullptr; }

   private:
    friend class Turns;
    Place(Turns& turns, std::string tenant) : turns_(&turns), tenant_(std::move(tenant)) {}

    Turns* turns_ = nullptr;
    std::string tenant_;
  };

  boost::asio::awaitable<Place> take(std::string tenant, Deadline deadline);

  // Everybody who waits goes away empty-handed.
  void wake();

  int taken() const { return taken_; }

 private:
  struct Waiter;

  Place place_for(const std::string& tenant);
  void give_back(const std::string& tenant);
  void call_next();
  int places_of(const std::string& tenant) const;

  int free_;
  int taken_ = 0;
  std::map<std::string, int> held_;  // By tenant.
  std::list<Waiter*> waiters_;       // In the order of their coming.
};

}  // namespace spillway::batch
