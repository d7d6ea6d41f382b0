// Whether a policy that is tried on some keys does worse than the one that the others are under.
// Pure state; not thread-safe.
#pragma once

#include "config/settings.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::policy {

enum class Side : std::uint8_t { stable, canary };

// How a request ended, by its class's promises.
enum class Outcome : std::uint8_t { attained, missed, failed, unpromised };
inline constexpr std::size_t kOutcomes = 4;

// Where a name stands in [0, 1): the same in every process, and evenly spread.
double place_of(std::string_view name);

class CanaryJudge {
 public:
  explicit CanaryJudge(const config::Canary& terms) : terms_(terms) {}

  void ended(Side side, Outcome outcome);

  // What was the canary is what others are compared with from now on, by these terms.
  void succeed(const config::Canary& terms);

  // Enough of each side have ended to compare them.
  bool has_seen_enough() const;

  // What the canary does worse than its terms and chance allow; empty: nothing, or it is too early.
  // Looks at the last thousand of each side.
  std::string burning() const;

  // All that have ended, by outcome.
  using Counts = std::array<std::uint64_t, kOutcomes>;
  const Counts& ended(Side side) const { return of(side).all; }

 private:
  // The last outcomes in a ring, and how many of each there are.
  struct Ended {
    Counts all{};
    Counts of_late{};
    std::vector<Outcome> ring;
    std::size_t next = 0;
  };

  Ended& of(Side side) { return sides_[static_cast<std::size_t>(side)]; }
  const Ended& of(Side side) const { return sides_[static_cast<std::size_t>(side)]; }

  config::Canary terms_;
  std::array<Ended, 2> sides_;
};

}  // namespace spillway::policy
