// Where what is large is read, so that no connection's worker is held up meanwhile.
#pragma once

#include "backends/contract/backend.h"

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

namespace spillway::wire {

// As much takes a worker some milliseconds.
inline constexpr std::size_t kReadHereMax = 1 << 20;

// Any thread.
class ReadingRoom {
 public:
  virtual ~ReadingRoom() = default;

  // Does `work` there, as the tenant's turn comes; the asking coroutine goes on when it is done.
  virtual Async<void> run(std::string tenant, std::function<void()> work) = 0;
};

// What `work` makes of so many bytes: there, where these are many, else here. A room that is null
// is here.
template <class T>
Async<T> read_in(ReadingRoom* room, std::string tenant, std::size_t bytes,
                 std::function<Result<T>()> work) {
  if (room == nullptr || bytes <= kReadHereMax) co_return work();
  Result<T> read = Error{Errc::internal, "it was not read"};
  std::function<void()> there = [&read, &work] { read = work(); };
  const auto done = co_await room->run(std::move(tenant), std::move(there));
  if (!done) co_return done.error();
  co_return std::move(read);
}

}  // namespace spillway::wire
