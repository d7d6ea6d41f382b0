// Two candidates asked for one answer: the second once the first has been silent for long. Who
// gives a first piece first wins, and the other is left.
//
// On the request's coroutine, which waits for both: neither outlives the race. Cancelling it leaves
// both.
#pragma once

#include "gateway/request/dispatch.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <optional>

namespace spillway {

class Race {
 public:
  // One of the two, and what came of it; empty as long as it has not answered or failed.
  struct Runner {
    Approach approach;
    std::optional<Result<Opened>> outcome;
    bool won() const { return outcome && outcome->has_value(); }
  };

  // All that is referred to must outlive it. `first` is ready to be asked.
  Race(Dispatcher& dispatcher, const Edition& edition, Approach first)
      : dispatcher_(dispatcher), edition_(edition), first_{std::move(first), std::nullopt} {}

  // Until one of them has answered, or all that were asked have failed. At `late` the second is
  // asked, if `make_second` gives one.
  boost::asio::awaitable<void> run(TimePoint late,
                                   const std::function<std::optional<Approach>()>& make_second);

  Runner& first() { return first_; }
  std::optional<Runner>& second() { return second_; }  // Empty: it was not asked.

 private:
  boost::asio::awaitable<void> lead();
  boost::asio::awaitable<void> follow(TimePoint late,
                                      const std::function<std::optional<Approach>()>& make_second);

  Dispatcher& dispatcher_;
  const Edition& edition_;
  Runner first_;
  std::optional<Runner> second_;
};

}  // namespace spillway
