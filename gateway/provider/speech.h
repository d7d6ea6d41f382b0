// One answer of the simulated provider in one protocol's words, and the protocols it speaks.
//
// Pure; any thread.
#pragma once

#include "backends/contract/error.h"
#include "gateway/provider/asked.h"

#include <memory>
#include <string>
#include <string_view>

namespace spillway::provider {

class Speech {
 public:
  virtual ~Speech() = default;

  // The events of the answer's token at `index`: the first Asked::thoughts of them are thinking;
  // if Asked::tool is set, the others are its argument.
  virtual std::string piece(std::string_view text, int index) const = 0;

  // Why it ended, and what it cost.
  virtual std::string last_events() const = 0;

  // What no whole stream lacks, behind those.
  virtual std::string_view end_event() const = 0;

  // The whole answer as one object.
  virtual std::string whole(std::string_view thought, std::string_view text) const = 0;

  // A failure in the middle of a stream, and an event that is none.
  virtual std::string error_event(std::string_view message) const = 0;
  virtual std::string_view malformed_event() const = 0;
};

struct Protocol {
  // Reads a request; invalid_request says what is wrong with it.
  Result<Asked> (*ask)(std::string_view body);
  std::unique_ptr<Speech> (*speech)(std::string_view id, const Asked& asked);
  // The object of a refusal; `status` is its own.
  std::string (*error)(int status, const Error& error);
};

// OpenAI's chat completions and Anthropic's messages.
const Protocol& chat_protocol();
const Protocol& messages_protocol();

}  // namespace spillway::provider
