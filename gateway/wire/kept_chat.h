// A chat completion that is to be found again (`store: true`), and where it is put. JSON as text:
// it is kept as the client will read it.
#pragma once

#include "backends/contract/backend.h"

#include <cstdint>
#include <string>

namespace spillway::wire {

struct KeptChat {
  std::string id;  // "chatcmpl-…"
  std::string tenant;
  std::string model;
  std::int64_t created = 0;  // Unix seconds.
  std::string metadata;      // An object of strings, or "null".
  std::string messages;      // Of the request, a list.
  std::string body;          // The chat.completion, without metadata.
};

// Any thread.
class ChatShelf {
 public:
  virtual ~ChatShelf() = default;
  virtual Async<void> put(KeptChat chat) = 0;
};

}  // namespace spillway::wire
