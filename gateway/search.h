// Why the candidates that were tried could not answer, and what the client is told if none can.
// A plain value of the request's coroutine.
#pragma once

#include "backends/contract/error.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/prefix_table.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace spillway {

// Nobody is there to hear an answer.
bool nobody_waits(Errc code);

// Another target, or another server of it, may do better.
bool is_the_targets_fault(Errc code);

class Search {
 public:
  // Asking it again is no use: what is asked is beyond its own limits, or who asks not welcome.
  bool is_beyond(std::string_view target) const;

  void failed(const policy::Candidate& candidate, const Error& error);

  // Trying elsewhere cannot help: the request itself is at fault, or nobody waits any more.
  bool is_over() const { return over_; }

  // The payer cannot have one; told if nobody failed otherwise.
  void unpaid(const Error& error);

  // Once there is nobody left.
  Error verdict() const;

 private:
  std::vector<Error> failures_;
  std::vector<std::string_view> beyond_;
  std::optional<Error> unpaid_;
  bool over_ = false;
};

// Of targets with several servers, those that failed this request.
class FailedServers {
 public:
  // Of a target's `count` servers, those that have not failed; all, if all have: once more.
  policy::ServerSet others(std::string_view target, std::size_t count) const;

  void add(std::string_view target, std::size_t server);
  bool all(std::string_view target, std::size_t count) const;

 private:
  policy::ServerSet of(std::string_view target) const;

  std::map<std::string_view, policy::ServerSet> failed_;
};

}  // namespace spillway
