// What one payer has spent in this day and month, and what running requests may still cost it:
// money is put aside before it is spent, so that many requests at once cannot spend it twice. What
// each class of its requests spent is kept apart, whether or not classes have a share at present.
//
// Thread-safe; a call takes a mutex for some tens of nanoseconds. Time is given: milliseconds since
// 1970. A clock that leaps ahead and is set back finds the window that it left as it was; one that
// is set back further opens none again.
#pragma once

#include "gateway/account/slot.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::account {

enum class Window { day, month };
std::string_view name_of(Window window);

// Whose requests spend, and how much of each limit all of them may.
struct ClassShare {
  std::string_view request_class;
  std::optional<double> max;  // Empty: the whole.
};

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
    bool for_good = true;   // Else what is held by others would be enough, should they not need it.
    bool of_class = false;  // All figures are of the class's share.
  };
  struct Answer {
    NanoUsd granted = 0;
    std::optional<Refusal> refusal;
  };

  // Puts `wanted` aside, or what is there of it if that is at least `least`; otherwise nothing.
  // `budget` may change from call to call.
  Answer put_aside(const config::Budget& budget, NanoUsd least, NanoUsd wanted, std::int64_t now,
                   const ClassShare& share = {});

  // `aside` is put back, `spent` is gone.
  void settle(const config::Budget& budget, NanoUsd aside, NanoUsd spent, std::int64_t now,
              std::string_view request_class = {});

  // It turned out not to have been spent (an entry that was in the book before), or had been spent
  // before the process began.
  void correct(NanoUsd day, NanoUsd month, std::int64_t now, std::string_view request_class = {});

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

  // Of all, or of a class.
  struct Sum {
    State state;
    Pages days, months;

    void turn_the_page(std::int64_t now);
    void correct(NanoUsd day, NanoUsd month);
  };

  Sum& of_class(std::string_view request_class, std::int64_t now);

  std::mutex mutex_;
  Sum all_;
  std::map<std::string, Sum, std::less<>> classes_;
};

}  // namespace spillway::account
