// The first answers to requests that brought an idempotency key: kept in memory for a while, so
// that who asks again under the same key gets the same answer and pays no second time.
//
// Thread-safe; nothing waits. The answers together take at most so many bytes: of the tenant that
// has most the oldest go first. A Claim belongs to the request that came first; one that goes out
// of scope without an answer leaves the key as if it had never been used. FirstAnswers outlives its
// claims.
#pragma once

#include "backends/contract/deadline.h"
#include "gateway/replay/answer.h"

#include <chrono>
#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace spillway::replay {

class FirstAnswers;

class Claim {
 public:
  Claim() = default;
  Claim(Claim&& other) noexcept { *this = std::move(other); }
  Claim& operator=(Claim&& other) noexcept;
  ~Claim() { give_up(); }

  // From here on it is found. Once; one that is too large is not kept.
  void keep(Answer answer, TimePoint now);

 private:
  friend class FirstAnswers;
  Claim(FirstAnswers& answers, Name name) : answers_(&answers), name_(std::move(name)) {}
  void give_up();

  FirstAnswers* answers_ = nullptr;  // Null once it is over.
  Name name_;
};

struct Limits {
  std::size_t bytes_max = 64U << 20;
  std::chrono::milliseconds keep{24 * 3'600'000};
};

class FirstAnswers {
 public:
  enum class State {
    first,    // Nobody has asked under this name: `claim` is the caller's.
    busy,     // The first is still being answered.
    other,    // The first was another request.
    answered  // `answer` is what the first got.
  };
  struct Found {
    State state = State::first;
    Claim claim;
    std::shared_ptr<const Answer> answer;
  };

  explicit FirstAnswers(const Limits& limits) : limits_(limits) {}

  // `fingerprint` tells one request from another.
  Found look(const Name& name, const std::string& fingerprint, TimePoint now);

  // Of one answer.
  std::size_t answer_bytes_max() const { return limits_.bytes_max / 4; }

 private:
  friend class Claim;
  struct Entry {
    std::string fingerprint;
    std::shared_ptr<const Answer> answer;  // Null: not yet.
    TimePoint kept{};
  };
  using Kept = std::list<Name>;
  struct Share {
    std::deque<Kept::iterator> kept;  // The oldest first.
    std::size_t bytes = 0;
  };

  void keep(const Name& name, Answer answer, TimePoint now);
  void forget(const Name& name);
  void forget_old(TimePoint now);
  void forget_oldest_of(std::map<std::string, Share>::iterator share);

  const Limits limits_;
  std::mutex mutex_;  // Of all below.
  std::map<Name, Entry> entries_;
  Kept kept_;                            // The names of those with an answer, the oldest first,
  std::map<std::string, Share> shares_;  // …and by tenant.
  std::size_t bytes_ = 0;
};

}  // namespace spillway::replay
