// What a provider says beside its answer (Beside), on its way to the client: a stream tells it with
// the piece that it came with, or with one of its last events; a whole answer tells all of it.
//
// Plain values on the request's coroutine; no I/O.
#pragma once

#include "backends/contract/chat.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::openai {

// `,` and the members, if there are any.
void append_members(std::string& out, std::string_view members);

// Of a stream: what belongs into the events that end it.
class LastRemarks {
 public:
  void add(const Delta& delta);

  // With the choice's finish reason, and with the usage.
  const Beside& of_finish(int choice) const;
  const Beside& of_usage() const;

 private:
  std::vector<std::shared_ptr<const Beside>> finishes_;  // By choice.
  std::shared_ptr<const Beside> usage_;
};

// Of a whole answer.
class AllRemarks {
 public:
  void add(const Delta& delta);

  std::string of_answer() const;
  std::string of_choice(std::size_t choice) const;
  const Beside& of_usage() const { return last_.of_usage(); }

 private:
  using Pieces = std::vector<std::string>;  // What was said more than once counts as said last.

  Pieces answer_;
  std::vector<Pieces> choices_;
  LastRemarks last_;
};

}  // namespace spillway::openai
