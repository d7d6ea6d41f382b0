// What targets want back with the calls that they made, and tool_use blocks have no place for:
// `extra_content`, in which Gemini signs its thoughts.
//
// Any thread. The latest calls of all tenants are remembered, by tenant and id, as long as the
// process runs; one that is forgotten goes back without.
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
  static constexpr std::size_t kCallsMax = 10'000;
  static constexpr std::size_t kBytesMax = 16 << 20;

  // Of the calls in a piece of an answer.
  void note(const std::string& tenant, const Delta& piece);

  // The chat, a JSON text, with what was noted of the calls in it.
  std::string put_into(std::string chat, const std::string& tenant) const;

 private:
  using Call = std::pair<std::string, std::string>;  // Tenant and id.

  void add(Call call, std::string text);
  bool empty() const;
  std::string find(const Call& call) const;  // Empty: nothing.

  mutable std::mutex mutex_;
  std::map<Call, std::string> notes_;
  std::deque<Call> order_;  // The oldest first.
  std::size_t bytes_ = 0;
};

// Says what `writer` says, and notes the calls. `notes` must outlive it.
std::unique_ptr<wire::AnswerWriter> noting(std::unique_ptr<wire::AnswerWriter> writer,
                                           std::string tenant, CallNotes& notes);

}  // namespace spillway::anthropic
