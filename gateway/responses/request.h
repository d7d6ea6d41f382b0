// Reads the body of POST /v1/responses: its settings, which every answer repeats, and its input,
// which is said as chat messages behind those of the turns before it.
//
// Pure; any thread. JSON goes in and out as text.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

// The code of fields that nobody here serves: their names are the client's own, and no chat's.
inline constexpr const char* kNotServed = "unknown_parameter";

// An item of an earlier turn that the input names by its id.
struct Reference {
  std::string id;
  bool must_be_kept = true;  // Else it is read as it stands where it is not.
};

struct ResponseRequest {
  std::string model;
  bool stream = false;
  bool store = true;
  bool background = false;
  bool summary = false;               // Reasoning is to be told as a summary.
  bool portable = false;              // …and to be had whole from its `encrypted_content`.
  std::string previous;               // previous_response_id, or empty.
  std::string conversation;           // Its id, or empty.
  std::string settings;               // An object of all that the answer repeats.
  std::string input;                  // A list of items, each with an id.
  std::vector<Reference> references;  // In the order of the input.
  std::string chat;                   // The chat completion's JSON, without its messages.
};

// `turn` makes the ids of items that come without: the part of a response's id behind "resp_".
Result<ResponseRequest> parse_response_request(std::string_view body, std::string_view turn);

// The input with those items in the place of its references to them; an empty one changes nothing.
std::string with_referenced(const std::string& input, const std::vector<std::string>& referenced);

// The chat completion's JSON. `before` are the lists of items of earlier turns, the oldest first.
struct ChatBody {
  std::string json;
  bool tools = false;               // Has tools, or calls and results of earlier ones.
  std::vector<std::string> unsaid;  // Of the items.
};
Result<ChatBody> chat_body(const ResponseRequest& request, const std::vector<std::string>& before);

}  // namespace spillway::responses
