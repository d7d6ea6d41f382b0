// The last decisions of the policy with what came of them, for a person who asks why.
//
// Any thread. Holds at most `capacity` of them; recording reuses the memory of the oldest one and
// takes a mutex for a few hundred nanoseconds. No prompt, answer or key is in them, but for what a
// provider says of a request that it refuses.
#pragma once

#include "gateway/request/receipt.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::admin {

struct DecisionAttempt {
  std::string target;
  std::optional<Errc> failure;  // Empty: it answered.
  std::string server;           // Of the target's several; else empty.
  std::string cause;            // What was told when it failed, a provider's own words among it.
};

struct Decision {
  std::chrono::system_clock::time_point at{};  // When the request was over.
  std::string id;
  std::string model;  // As the client asked for it.
  std::string request_class;
  std::string target;  // Who served it; empty if nobody did.
  std::string reason;
  std::string rule;
  bool canary = false;  // It was under the policy that is tried on some keys.
  std::string rule_facts;
  std::string explanation;
  std::vector<ConsideredTarget> considered;
  std::vector<DecisionAttempt> attempts;  // In the order the targets were asked.
  bool retries_used_up = false;           // Nobody was asked after these, since too many are.
  std::optional<double> predicted_ttft;   // Seconds, of the target chosen first.
  std::optional<double> ttft;             // Seconds from the plan to the first token.
  std::int64_t cost_nano_usd = 0;
  std::int64_t avoided_nano_usd = 0;
  double total = 0.0;  // Seconds.
  int status = 0;
};

class Decisions {
 public:
  explicit Decisions(std::size_t capacity);

  // A finished request; ignored if the policy never saw it.
  void record(const Receipt& receipt);

  // The last `count`, newest first.
  std::vector<Decision> last(std::size_t count) const;

  // The decision of that request; empty if it is none, or forgotten.
  std::optional<Decision> find(std::string_view id) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Decision> ring_;
  std::size_t recorded_ = 0;  // So far; the next one goes to recorded_ modulo the capacity.
};

}  // namespace spillway::admin
