// A conversation in the words that a provider of OpenAI's protocol knows.
//
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace spillway::cloud::openai {

struct Words {
  bool developer = true;  // The role; else its messages are the system's.
  bool reasoning = true;  // reasoning_content of earlier turns; else it is left out,
  bool beside = true;     // …and so is extra_content of calls.
};

// Whether one of `messages` has thought.
bool has_reasoning(std::string_view messages);

// `messages` is the JSON of a request's list; what nobody has to change stays byte for byte.
std::string in_words(std::string_view messages, Words known);

}  // namespace spillway::cloud::openai
