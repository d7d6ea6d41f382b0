// What one payer has spent in this day and month, and what running requests may still cost it:
// money is put aside before it is spent, so that many requests at once cannot spend it twice.
//
// Thread-safe; a call takes a mutex for some tens of nanoseconds. Time is given: milliseconds since
// 1970. A clock that leaps ahead and is set back finds the window that it left as it was; one that
// is set back further opens none again.
#pragma once

#include "gateway/account/slot.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

namespace spillway::account {

enum class Window { day, month };
std::string_view name_of(Window window);

class Purse {
 public:
  struct State {
    NanoUsd day = 0;  // Spent.
    NanoUsd month = 0;
    NanoUsd held = 0;
    NanoUsd overshoot = 0;  // Spent past a limit, since the start.
  };

  // What stands in the way.
  struct Refusal {
    Window window = Window::day;
    NanoUsd limit = 0;
    NanoUsd spent = 0;
    NanoUsd held = 0;
    bool for_good = true;  // Else what is held by others would be enough, should they not need it.
  };
  struct Answer {
    NanoUsd granted = 0;
    std::optional<Refusal> refusal;
  };

  // Puts `wanted` aside, or what is there of it if that is at least `least`; otherwise nothing.
  // `budget` may change from call to call.
  Answer put_aside(const config::Budget& budget, NanoUsd least, NanoUsd wanted, std::int64_t now);

  // `aside` is put back, `spent` is gone.
  void settle(const config::Budget& budget, NanoUsd aside, NanoUsd spent, std::int64_t now);

  // It turned out not to have been spent (an entry that was in the book before), or had been spent
  // before the process began.
  void correct(NanoUsd day, NanoUsd month, std::int64_t now);

  // The first window of which `warn_at` is spent or held, if any.
  std::optional<Window> nearly_spent(const config::Budget& budget, std::int64_t now);

  // The share that is neither spent nor held, of the window where that is least; 1 without limits.
  double left(const config::Budget& budget, std::int64_t now);

  State state(std::int64_t now);

 private:
  // A window and what was spent in it.
  struct Page {
    std::int64_t begins = 0;
    std::int64_t ends = 0;
    NanoUsd spent = 0;
  };
  // The page that is open, whose sum is in the State, and the one that was open before it.
  struct Pages {
    Page open, before;

    bool are_right(std::int64_t now) const;
    void turn(NanoUsd& spent, const Page& to);
  };

  void turn_the_page(std::int64_t now);

  std::mutex mutex_;
  State state_;
  Pages days_, months_;
};

}  // namespace spillway::account
