// Work that may wait: requests of classes that spill `cheapest_before_deadline`. They stand at the
// gateway, not in the engine's queue, until the engine has room that nobody in the foreground
// wants, or until it is time to send them to a provider. Pure: time is passed in. Not thread-safe.
//
// Pressure x is the processor demand of earliest-deadline-first scheduling: the largest, over all
// deadlines, of the GPU seconds held up to it over the GPU seconds that the foreground will leave
// until then. While it is small the engine is filled lightly; the nearer it comes to 1, the fuller;
// above 1 what is too much leaves for the providers, the least worth keeping first, as late as
// their rates allow. What those are paid for a GPU second is then what it is worth to anybody: a
// request of the foreground that would cost less elsewhere makes room.
//
// Who goes first is a plan for minutes, by the pressure that the supply of the last minutes gives:
// the earliest deadline while it is small; then those that a provider would charge most for each
// GPU second (a fractional knapsack), in case there will be too much; the earliest deadline once
// more where there is barely time for all, since it keeps all promises that can be kept, and what
// was left for its low price would be due in vain; and the dearest where there is not. There not
// all can stay, and tenants take turns: whose work has had the least of the engine's time goes
// first.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/status.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace spillway::policy {

// What the providers together take of new work.
struct CloudRoom {
  double requests_per_second = 0.0;
  double tokens_per_second = 0.0;
};

// From the providers' rate limits and from the places that are free there for work that may wait;
// those that may not be asked now count for nothing.
CloudRoom cloud_room(const config::Settings& settings, const FleetFacts& fleet);

// Engine time that an answer costs, in seconds: its prompt, and what it adds to the steps in which
// it decodes.
double gpu_seconds(const EngineStatus& engine, int prompt_tokens, double completion_tokens);

// Some time before its deadline: at that time it leaves, whether the engine had room or not.
TimePoint latest_start(const Wait& wait, TimePoint now);

struct Release {
  std::uint64_t id = 0;
  Turn turn = Turn::local;
};

class HeldWork {
 public:
  // Takes over the promises that bound how full the engine may be made.
  void adopt(const config::Settings& settings);

  // `wait` is what Router::plan said of it; `engine` is the engine now. Who comes again is due when
  // it was, but not before some time has passed. Requires: a new id.
  void hold(std::uint64_t id, const Wait& wait, const EngineStatus& engine, TimePoint now);

  // Its client has left.
  void drop(std::uint64_t id);

  // Looks at the whole, which is due about once a second: how much is held against what the engine
  // and the providers can take.
  bool reckoning_due(TimePoint now) const;
  void reckon(const EngineStatus& engine, const CloudRoom& cloud, TimePoint now);

  // The next that may go, which is held no longer; empty if nobody may go now. Call it again until
  // it is empty, with the engine's new state after each that went there.
  std::optional<Release> next(const EngineStatus& engine, TimePoint now);

  // The foreground gave the engine so much to do.
  void foreground(double gpu_seconds, TimePoint now);

  // GPU seconds a second that the foreground leaves.
  double supply(const EngineStatus& engine, TimePoint now) const;

  // What a GPU second is worth, in nano-USD: what providers are paid for each that the held work
  // has no room for. 0 while all of it has.
  double gpu_second_worth() const { return pressure_ > 1.0 && !held_.empty() ? worth_ : 0.0; }

  std::size_t size() const { return held_.size(); }
  double pressure() const { return held_.empty() ? 0.0 : pressure_; }

 private:
  struct Held {
    TimePoint due{};  // When it leaves at the latest: some time before its deadline.
    std::string tenant;
    bool again = false;
    double gpu_seconds = 0.0;
    double tokens = 0.0;
    double density = 0.0;  // What a provider would ask, nano-USD a GPU second.
  };
  // What the engine may have of one tenant.
  struct Share {
    std::set<std::pair<TimePoint, std::uint64_t>> by_due;
    std::set<std::pair<double, std::uint64_t>> by_density;
    double taken = 0.0;  // GPU seconds; who comes begins where the last of the others is.
  };
  struct Slot {
    double seconds = 0.0;
    int count = 0;
  };
  using Entry = std::unordered_map<std::uint64_t, Held>::iterator;

  void ration_surplus(double surplus_seconds, double time_left, const CloudRoom& cloud,
                      double elapsed);
  bool has_room(const EngineStatus& engine) const;
  void share_in(std::uint64_t id, const Held& held);
  void share_out(std::uint64_t id, const Held& held);
  Entry best_for_engine();
  Release release(Entry entry, Turn turn);
  double foreground_share(TimePoint now) const;

  double per_token_limit_ = 0.0;  // Seconds; the tightest promise of the foreground. 0: none.
  std::unordered_map<std::uint64_t, Held> held_;
  std::set<std::pair<TimePoint, std::uint64_t>> by_due_;
  std::set<std::pair<double, std::uint64_t>> by_density_;
  std::map<std::string, Share, std::less<>> shares_;  // By tenant; none that are empty.
  std::size_t again_ = 0;                             // So many have come again.
  std::map<std::int64_t, Slot> demand_;               // GPU seconds by due time, in slots of it.
  double total_seconds_ = 0.0;
  double total_tokens_ = 0.0;

  std::optional<TimePoint> reckoned_;
  double pressure_ = 0.0;
  double planned_supply_ = 1.0;  // What the foreground left of late.
  double planned_pressure_ = 0.0;
  double fill_ = 0.0;         // How long the engine's steps may be made, as a share of the promise.
  double places_ = 0.0;       // How many of its places may be taken, as a share.
  double worth_ = 0.0;        // Of the GPU seconds that left of late.
  double send_credit_ = 0.0;  // Requests of the surplus that may leave now.

  double foreground_seconds_ = 0.0;  // With exponential decay.
  TimePoint foreground_at_{};
};

}  // namespace spillway::policy
