// How much each key, tenant and model may be used: requests and tokens a minute, and requests at
// once.
//
// Thread-safe; a check takes some hundred nanoseconds. A Pass belongs to its request and gives its
// places back when it goes out of scope; the Limiter must outlive it. Time is given.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/gcra.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>

namespace spillway::account {

enum class Limited { key, tenant, model };
// Batches have the same limits as who waits for an answer, and are counted apart from it.
enum class Pool { waited_for, batches };
constexpr std::size_t kPools = 2;
enum class LimitKind { requests, tokens, concurrency };
constexpr std::size_t kLimitKinds = 3;
std::string_view name_of(LimitKind kind);

// Whose limits count for a request. Null: none of that kind. Kept alive by the caller while the
// Pass lives.
struct Subject {
  std::string_view name;
  const config::Limits* limits = nullptr;
};
using Subjects = std::array<Subject, 3>;  // By Limited.

// The narrowest of the limits that a client is under, for its headers.
struct Standing {
  struct Line {
    std::int64_t limit = 0;
    std::int64_t remaining = 0;
    std::chrono::nanoseconds reset{};
  };
  std::optional<Line> requests;
  std::optional<Line> tokens;
};

class Limiter;

class Pass {
 public:
  Pass() = default;
  Pass(Pass&& other) noexcept { *this = std::move(other); }
  Pass& operator=(Pass&& other) noexcept;
  ~Pass() { leave(); }

  // How many tokens it came to in the end. Once. What it took too many is there again, unless all
  // of the limit has been there since: then it has come back, and may have been taken anew.
  void used(std::int64_t tokens, TimePoint now);

 private:
  friend class Limiter;
  struct Place {
    struct State* state = nullptr;
    const config::Limits* limits = nullptr;
  };
  void leave();
  void give_back(LimitKind kind, std::size_t count, std::int64_t amount);

  std::array<Place, 3> places_{};
  std::size_t begun_ = 0;  // So many count it as a request, and no more where it comes to none.
  Standing standing_;      // By requests, of those who have begun.
  std::int64_t counted_ = 0;
  TimePoint entered_{};
};

class Limiter {
 public:
  struct Check {
    LimitKind kind;
    std::uint64_t allowed = 0;
    std::uint64_t refused = 0;
  };

  Limiter();
  ~Limiter();

  // A request of so many tokens, as far as is known, in that pool. rate_limited, with the exact
  // time after which it can help to ask again, if any of the limits is reached; then nothing is
  // counted. `standing` is told either way.
  Result<Pass> enter(Pool pool, const Subjects& subjects, std::int64_t tokens, TimePoint now,
                     Standing& standing);

  // The same in two steps, for a request that has yet to be read: one of its key and tenant, and
  // then what it asks of which model. Without the second nothing is counted in the end.
  Result<Pass> begin(Pool pool, const Subjects& subjects, TimePoint now, Standing& standing);
  Result<void> complete(Pass& pass, Pool pool, const Subjects& subjects, std::int64_t tokens,
                        TimePoint now, Standing& standing);

  std::array<Check, kLimitKinds> checks() const;

 private:
  using States = std::map<std::string, std::unique_ptr<struct State>, std::less<>>;
  State& state(Pool pool, Limited whose, std::string_view name);
  struct Range {
    std::size_t begin, end;
  };
  std::optional<Error> take_places(Pass& pass, Pool pool, const Subjects& subjects, Range range);
  std::optional<Error> take(Pass& pass, LimitKind kind, const Subjects& subjects, Range range,
                            std::int64_t amount, TimePoint now, Standing& standing);
  Error count_refused(LimitKind kind, Error refusal);

  mutable std::shared_mutex mutex_;  // Of the tables; a state, once there, stays.
  std::array<std::array<States, 3>, kPools> states_;
  std::array<std::atomic<std::uint64_t>, kLimitKinds> allowed_{};
  std::array<std::atomic<std::uint64_t>, kLimitKinds> refused_{};
};

}  // namespace spillway::account
