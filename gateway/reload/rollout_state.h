// How the configuration in force stands, and what is tried beside it. Plain values; money in
// nano-USD.
#pragma once

#include "gateway/reload/moves.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// What it would have done with one request.
struct ShadowChoice {
  std::string id;      // Of the request.
  std::string target;  // "held": it waits; "refused": nobody is asked.
  std::string reason;  // The policy's reason, or why it refuses,
  std::string rule;    // …and the rule that decides; empty: none.
  std::int64_t cost = 0;
  bool differs = false;
};

struct ShadowState {
  std::string policy;   // The path of its file; empty: there is none.
  std::string problem;  // Why it does not decide; empty: it does.
  std::string sha256;
  std::uint64_t agreed = 0;
  std::uint64_t differed = 0;
  std::uint64_t skipped = 0;       // It was behind.
  std::int64_t cost_in_force = 0;  // Expected, of those that both send somewhere.
  std::int64_t cost_of_shadow = 0;
  std::vector<Move> moves;
};

// How requests under one of two policies that are compared ended, by their class's promises.
struct PolicySide {
  std::uint64_t attained = 0;
  std::uint64_t missed = 0;
  std::uint64_t failed = 0;
  std::uint64_t unpromised = 0;
};

struct CanarySides {
  PolicySide stable;
  PolicySide canary;
};

// What became of a canary. withdrawn: another file has come.
enum class CanaryEnd : std::uint8_t { promoted, rolled_back, withdrawn };
inline constexpr std::size_t kCanaryEnds = 3;
inline constexpr std::string_view name_of(CanaryEnd end) {
  constexpr std::string_view kNames[] = {"promoted", "rolled_back", "withdrawn"};
  return kNames[static_cast<std::size_t>(end)];
}

// Of the canary that runs, else of the last.
struct CanaryState {
  bool runs = false;
  std::optional<CanaryEnd> end;  // Empty: it runs, or there was none.
  std::string why;               // Of that end, for people.
  std::string sha256;
  double share = 0.0;    // Of the keys.
  double seconds = 0.0;  // That it has run.
  CanarySides sides;
  CanarySides of_all;  // Of all canaries since the start.
  std::array<std::uint64_t, kCanaryEnds> ends{};
};

// What became of the watch over a policy that all keys have. withdrawn: another file has come.
enum class WatchEnd : std::uint8_t { kept, rolled_back, withdrawn };
inline constexpr std::size_t kWatchEnds = 3;
inline constexpr std::string_view name_of(WatchEnd end) {
  constexpr std::string_view kNames[] = {"kept", "rolled_back", "withdrawn"};
  return kNames[static_cast<std::size_t>(end)];
}

// Of the policy that is watched, else of the last that was.
struct WatchState {
  std::optional<WatchEnd> end;  // Empty: it is watched, or none was.
  std::string why;              // Of that end, for people.
  std::string sha256;           // Empty: none was.
  double seconds = 0.0;         // That it has been watched.
  PolicySide before;            // Under the policy before.
  PolicySide now;
  std::uint64_t excused = 0;  // Missed or failed, as they would have been before, too.
  std::array<std::uint64_t, kWatchEnds> ends{};
};

struct RolloutState {
  std::string sha256;   // Of the configuration in force.
  std::string guarded;  // What the guard had against the last file that was read; empty: nothing.
  ShadowState shadow;
  CanaryState canary;
  WatchState watch;
};

}  // namespace spillway
