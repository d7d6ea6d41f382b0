// The shadow: a policy that decides about each request as well, after the one in force has and on
// a thread of its own, and is only compared. Nothing that it decides is done.
//
// Thread-safe. `consider` is what a decision pays for it: a copy of the request's facts and a place
// in a queue that the thread `shadow` empties every few milliseconds; what finds the queue full is
// counted and left out. A request is considered once, at its first decision.
#pragma once

#include "config/settings.h"
#include "gateway/fleet/moment.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/router.h"
#include "gateway/reload/moves.h"
#include "gateway/reload/rollout_state.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace spillway {

class Shadow {
 public:
  Shadow();
  ~Shadow();  // stop()s.

  // This policy from now on, of the file at `path`; what was counted of another is forgotten.
  void follow(const std::string& path, std::shared_ptr<const config::Settings> settings);

  // None, since the file at `path` (empty: there is none) has this problem.
  void stand_down(const std::string& path, const std::string& problem);

  // `made` is what the policy in force decided. Any worker.
  void consider(std::string_view id, const policy::RequestFacts& request,
                const std::shared_ptr<const Moment>& moment, const Result<policy::Plan>& made);

  ShadowState state() const;

  // Of that request; empty: it was not considered yet, or is forgotten.
  std::optional<ShadowChoice> find(std::string_view id) const;

  // Considers nothing any more; ends the thread.
  void stop();

 private:
  struct Asked;

  void run();
  void compare(const policy::Router& router, const Asked& asked);
  void keep(const std::string& sha256, const Asked& asked, ShadowChoice choice, bool both_sent);

  std::atomic<bool> follows_ = false;

  std::mutex queue_mutex_;
  std::condition_variable changed_;
  std::vector<Asked> queue_;
  std::shared_ptr<const policy::Router> router_;
  bool stopped_ = false;

  mutable std::mutex told_mutex_;
  ShadowState told_;  // But for its moves:
  Moves moves_;
  std::vector<ShadowChoice> last_;
  std::size_t kept_ = 0;  // So far; the next one goes to kept_ modulo their most.

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace spillway
