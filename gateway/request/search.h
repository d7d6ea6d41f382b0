// Why the candidates that were tried could not answer, and what the client is told if none can.
// A plain value of the request's coroutine.
#pragma once

#include "backends/contract/error.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/prefix_table.h"

#include <chrono>
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

  // `understood`: it could be told what is asked.
  void failed(const policy::Candidate& candidate, bool understood, const Error& error);

  // Trying elsewhere cannot help: the request itself is at fault, or nobody waits any more.
  bool is_over() const { return over_; }

  // Nobody failed: those that were asked have no room for now.
  bool only_full() const;

  // No provider may be asked again for now; see policy::RetryBudget.
  void use_up_retries() { retries_used_up_ = true; }
  bool retries_used_up() const { return retries_used_up_; }

  // The payer cannot have one; told if no other failed, or only for want of words for the request.
  void unpaid(const Error& error);

  // Once there is nobody left. Where nobody may be asked again the client is to come back: that the
  // first failed is all that it is told. Where all refused the request, what one of those said who
  // understood it, providers before the engine: what it wants changed would be enough. But where
  // they had no words for it and somebody who may have is only full or `others_rest`, the client is
  // to come back.
  Error verdict(bool others_rest) const;

 private:
  struct Failure {
    Error error;
    bool understood = false;
    bool local = false;
  };

  const Error& most_useful() const;
  std::optional<std::chrono::milliseconds> soonest() const;

  std::vector<Failure> failures_;
  std::vector<std::string_view> beyond_;
  std::optional<Error> unpaid_;
  bool over_ = false;
  bool retries_used_up_ = false;
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
