// The calls of a stream, for protocols that open a call with its whole name: some providers tell
// the name behind the call's first piece, or in several.
//
// Of one request's coroutine; no I/O.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <set>
#include <vector>

namespace spillway::wire {

class NamedCalls {
 public:
  using Piece = nlohmann::ordered_json;  // An element of a delta's `tool_calls`.

  NamedCalls();
  ~NamedCalls();

  // What can be told once `piece` is here, in the order of the calls. The first piece of each call
  // has its id and its whole name, which is known to be whole when its arguments begin, another
  // call goes on, or `rest` is asked for. A piece without an index is a whole call.
  std::vector<Piece> add(Piece piece);

  // Something else follows, or nothing: those that are held back and have a name.
  std::vector<Piece> rest();

  // Nothing follows: those without one, too.
  std::vector<Piece> end();

  void clear();

 private:
  template <class Ready>
  std::vector<Piece> release(Ready ready);

  std::vector<Piece> held_;
  std::set<std::int64_t> told_;  // Indexes of those that have begun.
};

}  // namespace spillway::wire
