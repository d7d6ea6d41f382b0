// What targets want back with the calls that they made, and tool_use blocks have no place for:
// `extra_content`, in which Gemini signs its thoughts.
//
// Any thread. The latest calls are remembered, by tenant and id, as long as the process runs; when
// they are too many those of the tenant that has most go first. One that is forgotten goes back
// without.
#pragma once

#include "gateway/wire/protocol.h"

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace spillway::anthropic {

class CallNotes {
 public:
  static constexpr std::size_t kBytesMax = 32 << 20;
  static constexpr std::size_t kBytesBeside =
      1'024;  // What is counted of an entry beside its text.

  // Of the calls in a piece of an answer.
  void note(const std::string& tenant, const Delta& piece);

  // The chat, a JSON text, with what was noted of the calls in it.
  std::string put_into(std::string chat, const std::string& tenant) const;

 private:
  struct Notes {
    std::map<std::string, std::string> texts;  // By a call's id.
    std::deque<std::string> order;             // Ids, the oldest first.
    std::size_t bytes = 0;                     // Of the texts, and what else an entry takes.
  };

  void add(const std::string& tenant, const std::string& id, std::string text);
  void forget_one();
  bool empty() const;
  std::string find(const std::string& tenant, const std::string& id) const;  // Empty: nothing.

  mutable std::mutex mutex_;
  std::map<std::string, Notes> notes_;  // By tenant.
  std::size_t bytes_ = 0;
};

// Says what `writer` says, and notes the calls. `notes` must outlive it.
std::unique_ptr<wire::AnswerWriter> noting(std::unique_ptr<wire::AnswerWriter> writer,
                                           std::string tenant, CallNotes& notes);

}  // namespace spillway::anthropic
