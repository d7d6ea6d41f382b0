// What the engine needs to know of a model's text: ids of a conversation, bytes of an id, where it
// ends.
//
// Immutable after construction, so any thread may call it. `TextModel` reads it from a model file;
// the synthetic executor brings a trivial one.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local {

class Text {
 public:
  virtual ~Text() = default;

  // The exact prompt of the conversation, with the header of the answer. invalid_request if the
  // model's template refuses it.
  virtual Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages) const = 0;

  // Appends the bytes that `id` stands for; control tokens have none. A character may be spread
  // over several ids.
  virtual void append_bytes(std::int32_t id, std::string& bytes) const = 0;

  // True if the model ends its answer with this id.
  virtual bool ends_answer(std::int32_t id) const = 0;
};

}  // namespace spillway::local
