// Thinking that a client sends back to Anthropic, which takes only its own: what another target
// thought has no signature. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace spillway::cloud::anthropic {

// The raw list of messages less the thinking blocks without a signature, and less the messages
// that have nothing else; all else byte for byte. Requires JSON that a parser has accepted.
std::string without_unsigned_thinking(std::string_view messages);

// Whether there is any to be left out.
bool has_unsigned_thinking(std::string_view messages);

}  // namespace spillway::cloud::anthropic
