// Asks one candidate of a plan and waits for its first piece.
//
// Runs on the request's coroutine. Cancelling it drops the stream being opened. Providers' answers
// and failures are told to the fleet (breaker, rate limit, latency).
#pragma once

#include "backends/contract/backend.h"
#include "gateway/fleet/edition.h"
#include "gateway/fleet/fleet.h"
#include "gateway/fleet/local_target.h"
#include "gateway/policy/plan.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// A stream whose first piece has come, and the candidate that gave it.
struct Opened {
  std::unique_ptr<TokenStream> stream;
  Delta first;
  std::optional<Usage> told;  // Before the first piece.
  policy::Candidate candidate;
  std::vector<std::string> left_out;  // Fields that it was not told.
  std::optional<FleetVisit> visit;    // Empty for the local target.
};

// One attempt at a candidate: what it is asked, and what comes of it.
struct Approach {
  policy::Candidate candidate;
  std::shared_ptr<const ChatRequest> request;
  std::string_view tenant;
  const policy::PromptMarks* prompt = nullptr;
  int prompt_tokens = 0;
  Deadline patience{};
  bool is_last = false;                           // Of the plan, and of its servers.
  policy::ServerSet among = policy::kAllServers;  // Which of its servers may be asked.
  policy::Occasion occasion = policy::Occasion::first;
  Backend* instead = nullptr;  // Who answers in its place, and is no server of its.

  TimePoint sent{};
  double seconds = 0.0;                    // Until its first piece, or until it failed.
  std::optional<std::size_t> server;       // Of its several, the one that was asked,
  std::string address;                     // …and where that is.
  bool visited = false;                    // A provider was asked.
  bool retries_used_up = false;            // It was not: too many are asked again.
  bool paused = false;                     // Nobody asks it for a while, because of this.
  bool understood = false;                 // It could be told the request, in words of its own.
  bool at_work = false;                    // It failed, but had the request and had not refused it:
  std::optional<Usage> told;               // …what it may ask for all the same,
  std::size_t bytes_written = 0;           // …what there was of an answer that came as a whole,
  std::chrono::nanoseconds engine_time{};  // …and what it took of the local engine.
  double bytes_per_token = policy::kBytesPerToken;  // Of its answers of late.

  // False: others of its servers have been asked, and none that is left may be; or too many are
  // asked again.
  bool was_made() const { return !retries_used_up && (among == policy::kAllServers || server); }
};

class Dispatcher {
 public:
  Dispatcher(LocalTarget* local, Fleet& fleet) : local_(local), fleet_(fleet) {}

  // Fails with what the candidate said, or with overloaded if breakers or limits keep it from being
  // asked now.
  Async<Opened> open(Approach& approach, const Edition& edition);

  Fleet& fleet() { return fleet_; }

 private:
  Result<std::optional<FleetVisit>> visit(Approach& approach, const Edition& edition);
  Async<Opened> first_piece(Backend& backend, Approach& approach, const Edition& edition);

  LocalTarget* const local_;  // Null without a local target.
  Fleet& fleet_;
};

// How many servers a candidate has.
std::size_t servers_of(const policy::Candidate& candidate, const Edition& edition);

}  // namespace spillway
