// How many of the attempts at providers of late were not the first of their request: what fails
// everywhere is not asked ever more. Pure state: time is passed in. Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"

#include <array>
#include <cstdint>

namespace spillway::policy {

// Which of its request's attempts at providers one is.
enum class Occasion {
  first,
  again,   // One before it failed, or found no room: of the retry budget.
  beside,  // A hedge, which has a budget of its own.
};

class RetryBudget {
 public:
  // Whether a further attempt keeps those of the last ten seconds within a share of the first ones,
  // or is among the few of this second that always may.
  bool allows(const config::RetryBudget& terms, TimePoint now) const;

  void made(Occasion occasion, TimePoint now);

 private:
  struct Second {
    std::int64_t at = -1;
    int first = 0;
    int again = 0;
  };

  std::array<Second, 10> seconds_;  // Each at its number modulo ten.
};

}  // namespace spillway::policy
