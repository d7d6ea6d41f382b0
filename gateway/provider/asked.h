// What a client asks the simulated provider for.
//
// Pure; any thread.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::provider {

// What its prompt begins with, up to the end of one of its messages.
struct Beginning {
  std::uint64_t hash = 0;
  int tokens = 0;
};

struct Asked {
  std::string model;
  std::string prompt;  // The last user message's text: what is echoed.
  std::string begun;   // The answer so far, if it is to be gone on with.
  bool stream = false;
  bool include_usage = false;
  int prompt_tokens = 0;
  int cached_tokens = 0;              // Of these, read before: as the house says.
  std::vector<Beginning> beginnings;  // The shortest first.
  int completion_tokens = 0;          // How many the answer will have.
  bool limited = false;               // By the client's max_tokens.
  int thoughts = 0;                   // Of these, how many are thinking.
  std::string tool;  // The tool that the answer must call, its argument what is echoed.
};

// Reads a chat completion request; invalid_request says what is wrong with it.
Result<Asked> parse_asked(std::string_view body);

// The same of Anthropic's messages.
Result<Asked> parse_messages_asked(std::string_view body);

// As parse_asked for the instant profile, without parsing: streaming or not, and the prompt's size.
Asked glance(std::string_view body);

}  // namespace spillway::provider
