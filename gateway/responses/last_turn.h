// An archive that remembers the last turn of one connection, so that a client which wants nothing
// kept (`store: false`) can go on from it.
//
// Of one connection's coroutine, which has one turn at a time.
#pragma once

#include "gateway/responses/archive.h"

#include <string>
#include <vector>

namespace spillway::responses {

class LastTurn final : public Archive {
 public:
  explicit LastTurn(const Archive& archive) : Archive(archive) {}

  // Forgets all where there is no room to remember it.
  void ended(const Kept& turn) override;
  Async<Past> past(std::string tenant, From from) override;

  // The turn that ran is over, whether it ended or failed: what it went on from is let go.
  void over();

 private:
  std::string id_;                   // Of the last turn; empty: there was none.
  std::vector<std::string> turns_;   // Up to it, lists of items, the oldest first.
  Leave leave_;                      // For these.
  std::vector<std::string> before_;  // Those before the turn that runs,
  Leave before_leave_;               // …and its leave.
};

}  // namespace spillway::responses
