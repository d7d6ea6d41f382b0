// Whole answers that were paid for and did not arrive: the connection broke when the work was done.
// They wait a while, in memory, for the try that asks for the same again.
//
// Thread-safe; nothing waits. An answer on its way is held by its Sending, which stays with the
// connection; one that is lost is held here, and given out once. So many bytes on their way, of
// which a tenant may have a quarter, and so many answers and bytes lost: what goes beyond is not
// kept; of the tenant that has most lost the oldest goes first. LostAnswers outlives its Sendings.
#pragma once

#include "backends/contract/deadline.h"
#include "gateway/replay/answer.h"

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace spillway::replay {

class LostAnswers {
 public:
  struct Limits {
    std::size_t answers_max = 1'024;
    std::size_t bytes_max = 32U << 20;  // Of those lost, and again of those on their way.
    std::chrono::milliseconds keep{60'000};
  };

  // An answer on its way; if nobody calls it lost it has arrived.
  class Sending {
   public:
    Sending(LostAnswers& answers, Name name, Answer answer, std::size_t bytes);
    ~Sending();
    Sending(const Sending&) = delete;
    Sending& operator=(const Sending&) = delete;

    // Once.
    void lost(TimePoint now);

   private:
    LostAnswers& answers_;
    const std::string tenant_;
    Name name_;
    Answer answer_;
    const std::size_t bytes_;
  };

  explicit LostAnswers(const Limits& limits) : limits_(limits) {}

  // `name` tells the request from all others. Null if there is no room for it.
  std::shared_ptr<Sending> send(Name name, Answer answer);

  // The one of that name that was lost first, which is not here any longer; null if there is none.
  std::shared_ptr<const Answer> take(const Name& name, TimePoint now);

 private:
  struct Entry {
    Name name;
    std::shared_ptr<const Answer> answer;
    std::size_t bytes = 0;
    TimePoint lost{};
  };
  using Entries = std::list<Entry>;

  // Of bytes, by tenant.
  class Shares {
   public:
    void add(const std::string& tenant, std::size_t bytes);
    void take_off(const std::string& tenant, std::size_t bytes);
    std::size_t of(const std::string& tenant) const;
    std::size_t all() const { return all_; }
    const std::string& largest() const;  // Requires: there is one.

   private:
    std::map<std::string, std::size_t> bytes_;
    std::size_t all_ = 0;
  };

  void keep(Entry entry, TimePoint now);
  void forget_old(TimePoint now);
  void forget(Entries::iterator entry);
  Entries::iterator oldest_of_the_largest();

  const Limits limits_;
  std::mutex mutex_;  // Of all below.
  Shares on_their_way_;
  Entries entries_;  // Those lost, the oldest first,
  Shares lost_;      // …and what each tenant has of them.
};

}  // namespace spillway::replay
